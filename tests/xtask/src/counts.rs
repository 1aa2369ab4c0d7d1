//! How many tests a runner says have passed and failed, read from its own summary.

/// Tests counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed.
    pub failed: u64,
}

impl Counts {
    /// Adds what a line of output says, if it is one of the summary lines below; any other line counts nothing.
    ///
    /// ```text
    /// cargo test       test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s
    /// cargo nextest    Summary [   0.012s] 4 tests run: 3 passed (1 slow), 1 failed, 0 skipped
    /// node --test      ℹ pass 3     and     ℹ fail 1
    /// ```
    pub fn read(&mut self, line: &str) {
        // Nextest indents what a failed test printed, and that has a `test result:` of its own.
        if line.starts_with("test result: ") || line.trim_start().starts_with("Summary [") {
            self.passed += before(line, "passed");
            self.failed += before(line, "failed") + before(line, "timed");
        } else if let Some(number) = line.strip_prefix("ℹ pass ") {
            self.passed += number.parse().unwrap_or(0);
        } else if let Some(number) = line.strip_prefix("ℹ fail ") {
            self.failed += number.parse().unwrap_or(0);
        }
    }
}

/// The number that stands right before `word`.
fn before(line: &str, word: &str) -> u64 {
    let words: Vec<&str> = line.split([' ', ';', ',']).filter(|word| !word.is_empty()).collect();
    words
        .iter()
        .zip(words.iter().skip(1))
        .find(|(_, next)| **next == word)
        .and_then(|(number, _)| number.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(output: &str) -> (u64, u64) {
        let mut counts = Counts::default();
        output.lines().for_each(|line| counts.read(line));
        (counts.passed, counts.failed)
    }

    #[test]
    fn summaries_of_cargo_test_add_up() {
        let output = "running 4 tests\ntest a ... ok\n\
            test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s\n\
            test result: ok. 12 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 1.50s\n";
        assert_eq!(counted(output), (15, 1));
    }

    #[test]
    fn the_summary_of_nextest_counts_and_not_what_a_failed_test_printed() {
        let failed = "        FAIL [   0.1s] a::b\n    test result: FAILED. 0 passed; 1 failed; 0 ignored\n";
        assert_eq!(counted(&format!("{failed}     Summary [   0.012s] 4 tests run: 3 passed, 1 failed, 0 skipped")), (3, 1));
    }

    #[test]
    fn the_summary_of_nextest_counts_failures_and_time_outs() {
        assert_eq!(counted("     Summary [   0.012s] 7 tests run: 4 passed (1 slow), 2 failed, 1 timed out, 3 skipped"), (4, 3));
        assert_eq!(counted("     Summary [   0.012s] 4 tests run: 4 passed, 0 skipped"), (4, 0));
    }

    #[test]
    fn the_summary_of_node_counts() {
        assert_eq!(counted("ℹ tests 5\nℹ suites 0\nℹ pass 4\nℹ fail 1\nℹ cancelled 0\n"), (4, 1));
    }

    #[test]
    fn lines_that_only_look_alike_count_nothing() {
        assert_eq!(counted("test passed::summary ... ok\n3 passed in the docs\n  # pass 4\n"), (0, 0));
    }
}
