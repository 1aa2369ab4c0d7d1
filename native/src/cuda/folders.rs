//! Folders in which NVIDIA's libraries may lie beside the loader's own: CUDA toolkits and the `nvidia-*` wheels of Python.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders to look in, the likeliest first. `given` is the user's: a toolkit, a Python environment, `site-packages`, or the folder of
/// the libraries itself. `variable` reads the environment.
pub fn folders(given: Option<&Path>, variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let path = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let paths = |name: &str| variable(name).map(|value| std::env::split_paths(&value).collect::<Vec<_>>()).unwrap_or_default();
    let mut found = Vec::new();
    if let Some(folder) = given {
        found.push(folder.to_owned());
        found.extend(toolkit(folder));
        found.extend(wheels(folder));
        found.extend(python(folder));
    }
    for prefix in ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(path) {
        found.extend(python(&prefix));
        found.extend(toolkit(&prefix));
    }
    found.extend(paths("PYTHONPATH").iter().flat_map(|packages| wheels(packages)));
    for prefix in ["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(path) {
        found.extend(toolkit(&prefix));
    }
    let usual = ["/usr/local/cuda", "/usr/local/cuda-*", "/opt/cuda"];
    found.extend(usual.into_iter().flat_map(matches).flat_map(|prefix| toolkit(&prefix)));
    // The python3 that a shell would start: its environment is two folders above, as the path says and as its links say.
    if let Some(program) = paths("PATH").iter().map(|folder| folder.join("python3")).find(|program| program.is_file()) {
        for program in [Some(program.clone()), fs::canonicalize(program).ok()].into_iter().flatten() {
            found.extend(program.ancestors().nth(2).into_iter().flat_map(python));
        }
    }
    found.extend(path("HOME").iter().flat_map(|home| python(&home.join(".local"))));
    found.extend(["/usr/local", "/usr"].iter().flat_map(|prefix| python(Path::new(prefix))));
    let mut unique = Vec::new();
    for folder in found {
        if folder.is_dir() && !unique.contains(&folder) {
            unique.push(folder);
        }
    }
    unique
}

/// The file of a library, `lib<stem>.so.<version>`, in the first folder that has one of CUDA 12 or 13; the newest of several.
pub fn file(folders: &[PathBuf], stem: &str) -> Option<PathBuf> {
    folders.iter().find_map(|folder| {
        let names = fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let versions = names.filter_map(|name| Some((version(&name, stem)?, name)));
        let (_, newest) = versions.filter(|(version, _)| matches!(version.first(), Some(12 | 13))).max()?;
        Some(folder.join(newest))
    })
}

fn version(name: &str, stem: &str) -> Option<Vec<u32>> {
    let numbers = name.strip_prefix("lib")?.strip_prefix(stem)?.strip_prefix(".so.")?;
    numbers.split('.').map(|number| number.parse().ok()).collect()
}

/// Library folders of a CUDA toolkit.
fn toolkit(prefix: &Path) -> Vec<PathBuf> {
    let targets = format!("targets/{}-linux/lib", std::env::consts::ARCH);
    ["lib64", "lib", &targets].iter().map(|folder| prefix.join(folder)).collect()
}

/// Library folders of a Python environment's `nvidia-*` wheels.
fn python(prefix: &Path) -> Vec<PathBuf> {
    let Some(prefix) = prefix.to_str().map(glob::Pattern::escape) else { return Vec::new() };
    ["lib/python3*/site-packages", "lib/python3*/dist-packages"]
        .iter()
        .flat_map(|packages| matches(&format!("{prefix}/{packages}")))
        .flat_map(|packages| wheels(&packages))
        .collect()
}

/// Library folders of the `nvidia-*` wheels in `site-packages`: one for all of CUDA 13, one a library before.
fn wheels(packages: &Path) -> Vec<PathBuf> {
    packages.to_str().map(|packages| matches(&format!("{}/nvidia/*/lib", glob::Pattern::escape(packages)))).unwrap_or_default()
}

fn matches(pattern: &str) -> Vec<PathBuf> {
    glob::glob(pattern).map(|paths| paths.filter_map(Result::ok).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }

    #[test]
    fn wheels_are_found_in_every_environment_that_python_would_use() {
        let root = tempfile::tempdir().unwrap();
        let wheel = |prefix: &str| root.path().join(prefix).join("lib/python3.12/site-packages/nvidia/cu13/lib/libnvrtc.so.13");
        let look = |name: &'static str, value: PathBuf| {
            let value = value.into_os_string();
            file(&folders(None, |asked| (asked == name).then(|| value.clone())), "nvrtc")
        };
        for name in ["VIRTUAL_ENV", "CONDA_PREFIX"] {
            touch(&wheel(name));
            assert_eq!(look(name, root.path().join(name)), Some(wheel(name)));
        }
        assert_eq!(look("PYTHONPATH", root.path().join("VIRTUAL_ENV/lib/python3.12/site-packages")), Some(wheel("VIRTUAL_ENV")));
        touch(&wheel("path"));
        touch(&root.path().join("path/bin/python3"));
        assert_eq!(look("PATH", root.path().join("path/bin")), Some(wheel("path")));
    }

    #[test]
    fn what_the_user_names_comes_first_whatever_it_is() {
        let root = tempfile::tempdir().unwrap();
        let other = root.path().join("other/lib64/libnvrtc.so.13");
        touch(&other);
        for (given, library) in [
            ("toolkit", "toolkit/lib64/libnvrtc.so.12"),
            ("venv", "venv/lib/python3.9/site-packages/nvidia/cuda_nvrtc/lib/libnvrtc.so.12"),
            ("site-packages", "site-packages/nvidia/cuda_nvrtc/lib/libnvrtc.so.12"),
            ("plain", "plain/libnvrtc.so.12"),
        ] {
            touch(&root.path().join(library));
            let home = root.path().join("other").into_os_string();
            let folders = folders(Some(&root.path().join(given)), |name| (name == "CUDA_HOME").then(|| home.clone()));
            assert_eq!(file(&folders, "nvrtc"), Some(root.path().join(library)));
        }
    }

    #[test]
    fn the_newest_of_cuda_12_and_13_is_taken() {
        let root = tempfile::tempdir().unwrap();
        for name in ["libnvrtc.so.9", "libnvrtc.so.14", "libnvrtc.alt.so.13", "libnvrtc-builtins.so.13.9", "libnvrtc.so"] {
            touch(&root.path().join(name));
        }
        let folders = [root.path().to_owned()];
        assert_eq!(file(&folders, "nvrtc"), None);
        for name in ["libnvrtc.so.12", "libnvrtc.so.13"] {
            touch(&root.path().join(name));
            assert_eq!(file(&folders, "nvrtc"), Some(root.path().join(name)));
        }
        assert_eq!(file(&folders, "nvrtc-builtins"), Some(root.path().join("libnvrtc-builtins.so.13.9")));
    }
}
