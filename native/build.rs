//! With the feature `page` the built page becomes part of the program; when it is built anew, so is the program.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_PAGE").is_some() {
        println!("cargo::rerun-if-changed=../www/dist");
    }
}
