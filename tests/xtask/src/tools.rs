//! What must be on the machine. What is missing is installed where that can be done without asking (as root on Debian or Ubuntu,
//! or by rustup); otherwise the user is told exactly what to install.

use std::path::PathBuf;

use anyhow::anyhow;

use crate::process::{first_line, program, run};
use crate::report::Report;
use crate::workspace;

/// Something is missing that cannot be installed from here.
#[derive(Debug)]
pub struct Missing(String);

impl std::fmt::Display for Missing {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Missing {}

/// Oldest Node that the npm package supports and that Vite runs on.
const NODE: (u32, u32) = (20, 19);

/// What cargo's own checks need.
pub fn for_rust(report: &mut Report) -> anyhow::Result<()> {
    report.step("tools for Rust", || {
        rust_component("rustfmt", first_line("cargo", &["fmt", "--version"]).is_some())?;
        rust_component("clippy", first_line("cargo", &["clippy", "--version"]).is_some())
    })
}

/// A Vulkan driver, for the GPU's tests: one in software does. Elsewhere than on Linux there is Metal or DirectX.
pub fn for_gpu(report: &mut Report) -> anyhow::Result<()> {
    const ADVICE: &str = "a Vulkan driver is missing; install it (Debian, Ubuntu: apt-get install mesa-vulkan-drivers)";
    if !cfg!(target_os = "linux") {
        return Ok(());
    }
    report.step("tools for the GPU", || {
        if vulkan_driver().is_none() {
            match apt_install(&["libvulkan1", "mesa-vulkan-drivers"], ADVICE) {
                // The tests say that they are skipped; in continuous integration they fail instead.
                Err(error) if std::env::var_os("CI").is_none() => println!("{error}; tests of the GPU are skipped"),
                outcome => outcome?,
            }
        }
        vulkan_driver().iter().for_each(|driver| println!("Vulkan driver: {}", driver.display()));
        Ok(())
    })
}

/// A driver's manifest: the one that is named in the environment, else the first where drivers are installed.
fn vulkan_driver() -> Option<PathBuf> {
    let named = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"].into_iter().find_map(std::env::var_os).map(PathBuf::from);
    let installed = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d"].into_iter();
    named.or_else(|| {
        installed.filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten().next().map(|file| file.path())
    })
}

/// NVRTC, which compiles CUDA's kernels without a GPU, from PyPI into a folder of the build; without it that one test is skipped.
pub fn nvrtc() -> anyhow::Result<Option<PathBuf>> {
    const WHEEL: &str = "nvidia-cuda-nvrtc==13.*";
    let folder = workspace::target()?.join("nvrtc");
    if !folder.join("nvidia").is_dir() {
        println!("installing Python's {WHEEL} into {}", folder.display());
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target"];
        if let Err(error) = run(program("python3").args(install).arg(&folder).arg(WHEEL)) {
            println!("skipped: NVRTC cannot be had ({error:#}); python3 with pip and PyPI are needed");
            return Ok(None);
        }
    }
    Ok(Some(folder))
}

/// What the npm package and the page need; the browser is returned.
pub fn for_web(report: &mut Report) -> anyhow::Result<PathBuf> {
    report.step("tools for the web", || {
        wasm_target()?;
        node()?;
        chromium()
    })
}

fn rust_component(name: &str, there: bool) -> anyhow::Result<()> {
    if !there {
        println!("installing the Rust component {name}");
        run(program("rustup").args(["component", "add", name]))
            .map_err(|error| anyhow!(Missing(format!("{name} is missing; install it: rustup component add {name} ({error})"))))?;
    }
    println!("{name}: there");
    Ok(())
}

fn wasm_target() -> anyhow::Result<()> {
    const TARGET: &str = "wasm32-unknown-unknown";
    let there = || {
        first_line("rustc", &["--print", "target-libdir", "--target", TARGET]).is_some_and(|path| PathBuf::from(path).is_dir())
    };
    if !there() {
        println!("installing the Rust target {TARGET}");
        run(program("rustup").args(["target", "add", TARGET])).map_err(|error| {
            anyhow!(Missing(format!("Rust's {TARGET} is missing; install it: rustup target add {TARGET} ({error})")))
        })?;
    }
    println!("{TARGET}: there");
    Ok(())
}

fn node() -> anyhow::Result<()> {
    if first_line("node", &["--version"]).is_none() || first_line("npm", &["--version"]).is_none() {
        apt_install(&["nodejs", "npm"], "Node.js 20.19 or later with npm is missing; install it from https://nodejs.org")?;
    }
    let version = first_line("node", &["--version"]).unwrap_or_default();
    let mut numbers = version.trim_start_matches('v').split('.').map_while(|number| number.parse::<u32>().ok());
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found < NODE {
        return Err(Missing(format!(
            "Node.js {}.{} or later is needed, found {version}; install a later one from https://nodejs.org",
            NODE.0, NODE.1
        ))
        .into());
    }
    println!("Node.js: {version}");
    Ok(())
}

/// A Chromium that starts: `CHROMIUM` if set, else the first of the usual names.
fn chromium() -> anyhow::Result<PathBuf> {
    const ADVICE: &str = "Chromium is missing; install it (Debian: apt-get install chromium; Ubuntu, whose package is a snap that needs \
        a desktop session: Google Chrome's .deb) or name one in the environment variable CHROMIUM";
    if let Some(browser) = find_chromium() {
        return Ok(browser);
    }
    apt_install(&["chromium", "fonts-dejavu-core"], ADVICE)?;
    find_chromium().ok_or_else(|| Missing(ADVICE.to_owned()).into())
}

fn find_chromium() -> Option<PathBuf> {
    let named = std::env::var_os("CHROMIUM").map(PathBuf::from);
    let usual = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"].map(PathBuf::from);
    named.into_iter().chain(usual.into_iter().filter_map(|name| in_path(&name))).find(|browser| {
        let version = first_line(browser, &["--version"]);
        if let Some(version) = &version {
            println!("browser: {version} ({})", browser.display());
        }
        version.is_some()
    })
}

/// Where a program lies that is named without a folder.
fn in_path(name: &std::path::Path) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Installs Debian packages if we may; else fails with `advice`.
fn apt_install(packages: &[&str], advice: &str) -> anyhow::Result<()> {
    let root = first_line("id", &["-u"]).as_deref() == Some("0");
    if !root || first_line("apt-get", &["--version"]).is_none() {
        return Err(Missing(advice.to_owned()).into());
    }
    println!("installing Debian packages: {}", packages.join(" "));
    let apt =
        |arguments: &[&str]| run(program("apt-get").args(["-qq", "-y"]).args(arguments).env("DEBIAN_FRONTEND", "noninteractive"));
    let arguments: Vec<&str> = ["install", "--no-install-recommends"].into_iter().chain(packages.iter().copied()).collect();
    apt(&["update"]).and_then(|()| apt(&arguments)).map_err(|error| anyhow!(Missing(format!("{advice} ({error})"))))
}

/// Installs what a folder's `package-lock.json` names, unless that was done since the file last changed.
pub fn npm_install(folder: &str) -> anyhow::Result<()> {
    let folder = workspace::root().join(folder);
    let changed = |path: &str| folder.join(path).metadata().and_then(|data| data.modified()).ok();
    if changed("node_modules/.package-lock.json") > changed("package-lock.json") {
        return Ok(());
    }
    run(program("npm").args(["ci", "--no-fund", "--no-audit", "--loglevel=error"]).current_dir(&folder))
}
