//! What is served: a list of addresses, made once. What is not on it does not exist, whatever an address is spelt like.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clinicalbert_core::weights::web::MANIFEST;
use serde_json::{Value, json};

/// The page's list of models, see `www/src/models.ts`.
const LIST: &str = "/models/models.json";

/// Where what an address stands for is kept.
#[derive(Debug, Clone)]
pub enum Content {
    /// In this program.
    #[cfg(feature = "page")]
    Static(&'static [u8]),
    /// In memory.
    Text(String),
    /// On disk; read when it is asked for.
    File(PathBuf),
}

/// Addresses, each beginning with a slash, and their contents.
#[derive(Debug, Default)]
pub struct Site {
    contents: HashMap<String, Content>,
}

impl Site {
    /// The page that was put into this program when it was built.
    #[cfg(feature = "page")]
    pub fn built_in() -> Self {
        static PAGE: include_dir::Dir = include_dir::include_dir!("$CARGO_MANIFEST_DIR/../www/dist");
        let mut site = Self::default();
        let mut folders = vec![&PAGE];
        while let Some(folder) = folders.pop() {
            folders.extend(folder.dirs());
            for file in folder.files() {
                site.contents.insert(address(file.path()), Content::Static(file.contents()));
            }
        }
        site
    }

    /// A page's folder. Links in it are not followed: they may lead anywhere.
    ///
    /// # Errors
    /// It cannot be read, or is no built page.
    pub fn from_folder(page: &Path) -> Result<Self> {
        let mut site = Self::default();
        let mut folders = vec![page.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
                let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
                let kind = entry.file_type().with_context(|| format!("cannot read {}", entry.path().display()))?;
                if kind.is_dir() {
                    folders.push(entry.path());
                } else if kind.is_file() {
                    let path = entry.path();
                    site.contents.insert(address(path.strip_prefix(page).unwrap_or(&path)), Content::File(path.clone()));
                }
            }
        }
        let built = site.contents.contains_key("/index.html") && !site.contents.contains_key("/package.json");
        ensure!(built, "--page {}: expected a built page, with index.html (cargo xtask web writes www/dist)", page.display());
        Ok(site)
    }

    /// Puts a folder of weights for the web on top of the page's list of models: its manifest, and the files that this names.
    ///
    /// # Errors
    /// There is no such folder, or its manifest does not name its files.
    pub fn add_model(&mut self, name: &str, folder: &Path) -> Result<()> {
        let file = folder.join(MANIFEST);
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let manifest: Value = serde_json::from_str(&text).with_context(|| format!("{} is not JSON", file.display()))?;
        let shards = manifest.get("shards").and_then(Value::as_array).into_iter().flatten();
        let named = shards.chain(manifest.pointer("/tokenizer/vocabulary")).map(|file| file.get("name").and_then(Value::as_str));
        // The page asks for them beside the manifest, so names with folders in them are none.
        let named: Option<Vec<&str>> =
            named.map(|name| name.filter(|name| !name.contains(['/', '\\']) && *name != "..")).collect();
        let (Some(named), Some(bytes)) = (named, manifest.get("bytes").and_then(Value::as_u64)) else {
            anyhow::bail!("{} does not name its files: write the folder anew with native convert --to web", file.display());
        };
        for one in named.into_iter().chain([MANIFEST]) {
            self.contents.insert(format!("/models/own/{one}"), Content::File(folder.join(one)));
        }
        let variant = json!({ "dtype": manifest.get("encoding"), "path": "models/own", "bytes": bytes });
        let mut list = vec![json!({ "name": name, "variants": [variant] })];
        list.extend(self.listed().unwrap_or_default());
        self.contents.insert(LIST.to_owned(), Content::Text(Value::Array(list).to_string()));
        Ok(())
    }

    /// What `path` stands for.
    pub fn find(&self, path: &str) -> Option<&Content> {
        self.contents.get(if path == "/" { "/index.html" } else { path })
    }

    /// The page's own models; none if it has no list that can be read.
    fn listed(&self) -> Option<Vec<Value>> {
        match self.find(LIST)? {
            #[cfg(feature = "page")]
            Content::Static(bytes) => serde_json::from_slice(bytes).ok(),
            Content::Text(text) => serde_json::from_str(text).ok(),
            Content::File(path) => serde_json::from_slice(&crate::small_file::read(path).ok()?).ok(),
        }
    }
}

/// The address of a file of the page.
fn address(path: &Path) -> String {
    path.components().map(|part| format!("/{}", part.as_os_str().to_string_lossy())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("page/models")).unwrap();
        fs::write(folder.path().join("page/index.html"), "<p>").unwrap();
        fs::write(folder.path().join("page/models/models.json"), r#"[{"name":"small"}]"#).unwrap();
        fs::write(folder.path().join("secret.txt"), "secret").unwrap();
        folder
    }

    #[test]
    fn only_files_of_the_page_have_addresses() {
        let folder = page();
        #[cfg(unix)]
        std::os::unix::fs::symlink(folder.path().join("secret.txt"), folder.path().join("page/link.txt")).unwrap();
        let site = Site::from_folder(&folder.path().join("page")).unwrap();
        for there in ["/", "/index.html", "/models/models.json"] {
            assert!(site.find(there).is_some(), "{there}");
        }
        for absent in ["", "/secret.txt", "/../secret.txt", "/models/../../secret.txt", "//index.html", "/models", "/link.txt"] {
            assert!(site.find(absent).is_none(), "{absent}");
        }
    }

    #[test]
    fn a_folder_without_a_page_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Site::from_folder(folder.path()).unwrap_err().to_string().contains("expected a built page"));
        fs::write(folder.path().join("index.html"), "").unwrap();
        fs::write(folder.path().join("package.json"), "").unwrap();
        assert!(Site::from_folder(folder.path()).is_err(), "sources are no built page");
    }

    #[test]
    fn a_model_comes_first_and_only_with_what_its_manifest_names() {
        let folder = page();
        let mut site = Site::from_folder(&folder.path().join("page")).unwrap();
        let manifest = json!({
            "encoding": "int8",
            "bytes": 5,
            "shards": [{ "name": "weights.bin" }],
            "tokenizer": { "vocabulary": { "name": "vocab.txt" } },
        });
        fs::write(folder.path().join(MANIFEST), manifest.to_string()).unwrap();
        site.add_model("mine", folder.path()).unwrap();
        let Some(Content::Text(list)) = site.find(LIST) else { panic!() };
        let expected =
            json!([{ "name": "mine", "variants": [{ "dtype": "int8", "path": "models/own", "bytes": 5 }] }, { "name": "small" }]);
        assert_eq!(serde_json::from_str::<Value>(list).unwrap(), expected);
        for there in ["manifest.json", "weights.bin", "vocab.txt"] {
            assert!(site.find(&format!("/models/own/{there}")).is_some(), "{there}");
        }
        assert!(site.find("/models/own/secret.txt").is_none());
    }

    #[test]
    fn a_manifest_that_points_out_of_its_folder_is_refused() {
        let folder = page();
        let mut site = Site::from_folder(&folder.path().join("page")).unwrap();
        for name in ["../secret.txt", "/etc/passwd", "..", "a\\b"] {
            let manifest =
                json!({ "bytes": 1, "shards": [{ "name": name }], "tokenizer": { "vocabulary": { "name": "vocab.txt" } } });
            fs::write(folder.path().join(MANIFEST), manifest.to_string()).unwrap();
            assert!(site.add_model("mine", folder.path()).is_err(), "{name}");
        }
    }
}
