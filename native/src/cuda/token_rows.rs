//! A batch's rows sorted by token, so that the gradient of the word table is summed without atomic additions, always in one order.

/// Most rows that one warp adds up: [PAD]'s thousands are many segments.
const SEGMENT: usize = 16;

/// Rows by token, and every token's rows cut into segments. Arguments of `segment_sums` and `token_sums` in tables.cu.
#[derive(Debug, PartialEq, Eq)]
pub struct TokenRows {
    /// Row numbers sorted by token, then by row.
    pub order: Vec<u32>,
    /// Where every segment begins in `order`, and where the last ends.
    pub segments: Vec<u32>,
    /// Different tokens.
    pub tokens: Vec<u32>,
    /// Every token's first segment, and the end of the last.
    pub token_segments: Vec<u32>,
}

impl TokenRows {
    /// Sorts the rows of a batch.
    pub fn new(ids: &[u32]) -> Self {
        let mut order: Vec<u32> = (0_u32..).take(ids.len()).collect();
        let id = |row: &u32| ids.get(*row as usize).copied().unwrap_or_default();
        order.sort_by_key(id);
        let (mut segments, mut tokens, mut token_segments) = (vec![0], Vec::new(), vec![0]);
        for rows in order.chunk_by(|one, other| id(one) == id(other)) {
            tokens.extend(rows.first().map(id));
            for segment in rows.chunks(SEGMENT) {
                segments.push(segments.last().copied().unwrap_or_default() + segment.len() as u32);
            }
            token_segments.push(segments.len() as u32 - 1);
        }
        Self { order, segments, tokens, token_segments }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_in_one_segment_of_its_token() {
        let mut ids: Vec<u32> = (0..200).map(|row| row * 7 % 5 + 1).collect();
        ids.extend([0; 130]);
        let sorted = TokenRows::new(&ids);
        assert_eq!(sorted.tokens, [0, 1, 2, 3, 4, 5]);
        assert_eq!(sorted.token_segments, [0, 9, 12, 15, 18, 21, 24]);
        assert_eq!(sorted.segments[..13], [0, 16, 32, 48, 64, 80, 96, 112, 128, 130, 146, 162, 170]);
        assert_eq!((sorted.segments.len(), sorted.segments.last()), (25, Some(&330)));
        let mut seen = vec![false; ids.len()];
        for (index, token) in sorted.tokens.iter().enumerate() {
            let (from, to) = (sorted.token_segments[index] as usize, sorted.token_segments[index + 1] as usize);
            for row in &sorted.order[sorted.segments[from] as usize..sorted.segments[to] as usize] {
                assert_eq!(ids[*row as usize], *token);
                assert!(!std::mem::replace(&mut seen[*row as usize], true));
            }
        }
        assert!(seen.into_iter().all(|row| row));
    }
}
