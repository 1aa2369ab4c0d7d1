//! The toolkit in a browser tab.
