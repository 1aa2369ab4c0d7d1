//! NVIDIA's libraries, found and opened once in a process.
//!
//! cudarc opens them by their short names at its first call and panics where one is missing, so nothing of it may be called before
//! [`Libraries`] says that it is there. What lies outside the loader's path is opened here by its full path and never closed: opening by
//! the short name then finds it. (An unversioned `libnvrtc.so` on the loader's path still wins, because cudarc asks for that first.)

#![allow(unsafe_code, reason = "opening a library runs its initializers")]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Result, bail};
use libloading::Library;
use serde::Serialize;

use super::folders::{file, folders};

/// Where the user says that CUDA is, beside `--cuda-path`.
const VARIABLE: &str = "CLINICALBERT_CUDA";
/// How to get what is missing of the toolkit.
const WHEELS: &str = "install the CUDA toolkit 12.8 or later, or `pip install nvidia-cuda-nvrtc nvidia-cublas`; a folder that is not found by \
     itself is named with --cuda-path DIR or CLINICALBERT_CUDA";

static GIVEN: OnceLock<PathBuf> = OnceLock::new();
static LIBRARIES: OnceLock<Libraries> = OnceLock::new();

/// Where a library is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The system's loader finds it by its name.
    Loader,
    /// This file was opened.
    File(PathBuf),
    /// It was not found.
    Missing,
}

/// What a GPU needs beside the program.
#[derive(Debug, Clone, Serialize)]
pub struct Libraries {
    /// NVIDIA's driver, `libcuda.so.1`.
    pub driver: Place,
    /// NVRTC, which compiles kernels.
    pub nvrtc: Place,
    /// cuBLASLt, matrix products.
    pub cublaslt: Place,
}

/// Says where CUDA is, before the first use of [`libraries`].
pub fn look_in(folder: PathBuf) {
    // Commands do this once, before everything else; a second call would change nothing.
    let _ = GIVEN.set(folder);
}

/// The libraries of this process; the first call looks for them and opens them.
pub fn libraries() -> &'static Libraries {
    LIBRARIES.get_or_init(|| {
        let given = GIVEN.get().cloned().or_else(|| std::env::var_os(VARIABLE).map(PathBuf::from));
        Libraries::open(given.as_deref())
    })
}

impl Place {
    /// Whether the library can be called.
    pub fn is_there(&self) -> bool {
        *self != Self::Missing
    }
}

impl Libraries {
    fn open(given: Option<&Path>) -> Self {
        let (theirs, all) = (folders(given, |_| None), folders(given, |name| std::env::var_os(name)));
        // Under the names by which cudarc will ask.
        let on_loader_path =
            |stem: &str| cudarc::get_lib_name_candidates(stem).iter().any(|name| keep_open(Path::new(name)).is_some());
        let place = |stem: &str, needs: &str| {
            let open = |folders: &[PathBuf]| {
                let library = file(folders, stem)?;
                if let Some(needed) = library.parent().and_then(|folder| file(&[folder.to_owned()], needs)) {
                    keep_open(&needed)?;
                }
                keep_open(&library)?;
                Some(Place::File(library))
            };
            let given = given.and_then(|_| open(&theirs));
            given.or_else(|| on_loader_path(stem).then_some(Place::Loader)).or_else(|| open(&all)).unwrap_or(Place::Missing)
        };
        Self {
            driver: if on_loader_path("cuda") { Place::Loader } else { Place::Missing },
            // Without its builtins NVRTC fails with error 7 at the first program; it asks the loader for them by their name.
            nvrtc: place("nvrtc", "nvrtc-builtins"),
            cublaslt: place("cublasLt", "cublasLt"),
        }
    }

    /// What is missing, each with what to do about it.
    pub fn missing(&self) -> Vec<String> {
        let driver = "NVIDIA's driver (libcuda.so.1) is not there: install it, or start the container with its GPUs";
        let missing = [
            (&self.driver, driver.to_owned()),
            (&self.nvrtc, format!("NVRTC (libnvrtc.so.13 or .12) is not there: {WHEELS}")),
            (&self.cublaslt, format!("cuBLASLt (libcublasLt.so.13 or .12) is not there: {WHEELS}")),
        ];
        missing.into_iter().filter(|(place, _)| !place.is_there()).map(|(_, text)| text).collect()
    }

    /// Nothing, if all of them are there.
    ///
    /// # Errors
    /// What is missing and how to get it, the first of several.
    pub fn check(&self) -> Result<()> {
        match self.missing().first() {
            Some(missing) => bail!("{missing}"),
            None => Ok(()),
        }
    }
}

/// Opens a library for the rest of the process.
fn keep_open(path: &Path) -> Option<()> {
    // SAFETY: a library of NVIDIA's by its name and folder, whose initializers register themselves and nothing else.
    std::mem::forget(unsafe { Library::new(path) }.ok()?);
    Some(())
}
