//! What can be said about an application that is to run: the same in a template, in its common part and as flags.

use indexmap::IndexMap;
use resources::DynamicValue;
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;

/// Declares the settings once: their fields, how two of them become one, and which belong to one application only.
macro_rules! settings {
    (one { $($(#[$one_doc:meta])* $one:ident: $one_type:ty = $one_name:literal,)* }
     shared { $($(#[$doc:meta])* $name:ident: $type:ty,)* }) => {
        /// What is said about an application. Nothing has a default here: what is open may be said elsewhere.
        #[derive(Debug, Clone, Default, PartialEq, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        pub(crate) struct Settings {
            $($(#[$one_doc])* pub(crate) $one: Option<$one_type>,)*
            $($(#[$doc])* pub(crate) $name: Option<$type>,)*
            /// Variables of the environment, for the application and its sidecar.
            pub(crate) env: IndexMap<String, String>,
        }

        impl Settings {
            /// These settings, and where they are open, those of `base`.
            pub(crate) fn over(self, mut base: Settings) -> Settings {
                // folders of resources take the place of others, under whichever of the two names
                if self.resources().is_some() {
                    (base.resources_path, base.resources_paths) = (None, None);
                }
                let mut env = base.env;
                env.extend(self.env);
                Settings {
                    $($one: self.$one.or(base.$one),)*
                    $($name: self.$name.or(base.$name),)*
                    env,
                }
            }

            /// The settings that are given here and make sense for one application only, in the words of a template.
            pub(crate) fn of_one_application(&self) -> Vec<&'static str> {
                let mut names = Vec::new();
                $(if self.$one.is_some() { names.push($one_name); })*
                names
            }

            /// The same without those.
            pub(crate) fn without_what_is_of_one(self) -> Settings {
                Settings { $($one: None,)* ..self }
            }
        }
    };
}

settings! {
    one {
        /// The application's id.
        app_id: String = "appID",
        /// The application's folder.
        app_dir_path: String = "appDirPath",
        /// The port that the application listens on.
        app_port: i64 = "appPort",
        /// The port of the HTTP API.
        dapr_http_port: i64 = "daprHTTPPort",
        /// The port of the gRPC API.
        dapr_grpc_port: i64 = "daprGRPCPort",
        /// The port for other sidecars.
        dapr_internal_grpc_port: i64 = "daprInternalGRPCPort",
        /// The port of the metrics.
        metrics_port: i64 = "metricsPort",
        /// The port of the profiling server.
        profile_port: i64 = "profilePort",
        /// The application's command and arguments.
        command: Vec<String> = "command",
        /// In Kubernetes: the application's image.
        container_image: String = "containerImage",
        /// In Kubernetes: when the image is pulled.
        container_image_pull_policy: String = "containerImagePullPolicy",
        /// In Kubernetes: whether a service is made.
        create_service: bool = "createService",
    }
    shared {
        /// What the application speaks.
        app_protocol: String,
        /// The host that the application listens on.
        app_channel_address: String,
        /// How many calls the application may be given at a time.
        app_max_concurrency: i64,
        /// Deprecated: the application speaks TLS.
        app_ssl: bool,
        /// The addresses that the APIs listen on.
        api_listen_addresses: String,
        /// Whether the profiling server is started.
        enable_profiling: bool,
        /// The least important messages that the sidecar logs.
        log_level: String,
        /// Where placement is.
        placement_host_address: String,
        /// Where the scheduler is.
        scheduler_host_address: String,
        /// The largest body.
        max_body_size: String,
        /// The most bytes of headers.
        read_buffer_size: String,
        /// Deprecated: the largest body in MB.
        dapr_http_max_request_size: i64,
        /// Deprecated: the most bytes of headers in KB.
        dapr_http_read_buffer_size: i64,
        /// Whether the application's health is checked.
        enable_app_health_check: bool,
        /// The path of the health check.
        app_health_check_path: String,
        /// How often it is checked, in seconds.
        app_health_probe_interval: i64,
        /// How long a check may take, in milliseconds.
        app_health_probe_timeout: i64,
        /// How many failures in a row make it unhealthy.
        app_health_threshold: i64,
        /// Whether calls of the APIs are logged.
        enable_api_logging: bool,
        /// The folder in which `.dapr` is.
        runtime_path: String,
        /// Where the sidecar's log goes.
        daprd_log_destination: String,
        /// Where the application's output goes.
        app_log_destination: String,
        /// A folder for Unix sockets.
        unix_domain_socket: String,
        /// Deprecated: a folder of resources.
        resources_path: Paths,
        /// Folders of resources.
        resources_paths: Paths,
        /// The configuration file.
        config_file_path: String,
    }
}

/// Paths: a list, or a text with commas.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub(crate) struct Paths(pub(crate) Vec<String>);

impl TryFrom<Value> for Paths {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let written = match value {
            Value::Array(items) => items,
            Value::Object(_) => return Err("expected a list of paths, found a map".into()),
            one => vec![one],
        };
        let mut paths = Vec::new();
        for item in written {
            if matches!(item, Value::Array(_) | Value::Object(_)) {
                return Err("expected a list of paths".into());
            }
            let text = DynamicValue(item).as_text().into_owned();
            paths.extend(
                text.split(',')
                    .map(str::trim)
                    .filter(|path| !path.is_empty())
                    .map(str::to_owned),
            );
        }
        Ok(Self(paths))
    }
}

impl Settings {
    /// The same, with paths that are relative to the folder `base` made absolute. The application's own folder is left.
    pub(crate) fn with_paths_from(mut self, base: &Path) -> Self {
        let absolute = |path: &mut String| {
            *path = crate::paths::within(base, Path::new(path)).display().to_string();
        };
        for paths in [&mut self.resources_path, &mut self.resources_paths]
            .into_iter()
            .flatten()
        {
            paths.0.iter_mut().for_each(absolute);
        }
        for path in [
            &mut self.config_file_path,
            &mut self.runtime_path,
            &mut self.unix_domain_socket,
        ] {
            path.iter_mut().filter(|path| !path.is_empty()).for_each(absolute);
        }
        self
    }

    /// The folders of resources that are given.
    pub(crate) fn resources(&self) -> Option<Vec<String>> {
        let given = self.resources_paths.as_ref().filter(|paths| !paths.0.is_empty());
        given
            .or(self.resources_path.as_ref().filter(|paths| !paths.0.is_empty()))
            .map(|paths| paths.0.clone())
    }
}
