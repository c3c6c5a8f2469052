//! config
pub(crate) mod endpoint {
    use std::ffi::OsString;
    use std::path::PathBuf;

    #[derive(Debug, Clone)]
    pub(crate) enum Endpoint {
        Socket(PathBuf),
        DialStdio {
            docker: OsString,
            globals: Vec<OsString>,
            shown: String,
            host_name: Option<String>,
        },
    }
}
pub(crate) use endpoint::Endpoint;
