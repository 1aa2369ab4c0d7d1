//! What this machine is and has.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use sysinfo::{CpuRefreshKind, System};

/// Facts about the machine; memory in bytes, 0 where the system does not tell.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// Operating system and its version.
    pub system: String,
    /// The processor's own name.
    pub processor: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Main memory.
    pub memory: u64,
    /// Main memory that nobody needs.
    pub memory_available: u64,
}

impl Machine {
    /// This one, now.
    pub fn here() -> Self {
        // There are systems that `sysinfo` knows nothing about; the rest of the answer is still worth having.
        let mut system = System::new().ok();
        if let Some(system) = &mut system {
            system.refresh_memory();
            system.refresh_cpu_list(CpuRefreshKind::nothing());
        }
        let system = system.as_ref();
        let processor = system.and_then(|system| system.cpus().first()).map(|processor| processor.brand().trim().to_owned());
        Self {
            system: System::long_os_version().unwrap_or_else(|_| std::env::consts::OS.into()),
            processor: processor.filter(|name| !name.is_empty()).unwrap_or_else(|| std::env::consts::ARCH.into()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory: system.map_or(0, System::total_memory),
            memory_available: system.map_or(0, System::available_memory),
        }
    }
}

/// Bytes that can still be written where `path` is, or will be.
///
/// # Errors
/// The file system does not tell.
pub fn room_at(path: &Path) -> Result<u64> {
    let path = std::path::absolute(path)?;
    let there = path.ancestors().find(|folder| folder.exists()).unwrap_or(&path);
    fs4::available_space(there).with_context(|| format!("cannot tell how much room there is at {}", there.display()))
}

/// Most memory that this process has had at a time, in bytes, where the system keeps count (Linux).
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(1024 * line.split_whitespace().next()?.parse::<u64>().ok()?)
}

/// Bytes for people: `1.5 GB`.
pub fn bytes(count: u64) -> String {
    match count as f64 {
        few if few < 1e6 => format!("{:.0} kB", few / 1e3),
        some if some < 1e9 => format!("{:.1} MB", some / 1e6),
        many => format!("{:.1} GB", many / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_cores_memory_and_room() {
        let machine = Machine::here();
        assert!(machine.cores > 0 && machine.memory >= machine.memory_available && machine.memory_available > 0, "{machine:?}");
        assert!(room_at(Path::new("folder/that/is/not/there")).unwrap() > 0);
        assert!(!cfg!(target_os = "linux") || peak_memory().unwrap() > 1 << 20);
    }

    #[test]
    fn sizes_read_well() {
        assert_eq!([900, 1_500_000, 20_000_000_000].map(bytes), ["1 kB", "1.5 MB", "20.0 GB"]);
    }
}
