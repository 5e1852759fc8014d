use super::*;
use crate::run::settings::Paths;

fn new(settings: Settings) -> Result<App> {
    let home = tempfile::tempdir().unwrap();
    App::new(settings, Some(home.path()), &mut Ports::default())
}

fn error(settings: Settings) -> String {
    new(settings).unwrap_err().to_string()
}

#[test]
fn what_is_open_is_settled() {
    let app = new(Settings::default()).unwrap();
    assert!(app.id.starts_with("app-") && app.id.len() == 10, "{}", app.id);
    assert_eq!(app.folder, std::env::current_dir().unwrap());
    let ports = app.ports;
    assert_eq!((ports.app, ports.internal, ports.profile), (None, None, None));
    assert!(ports.http > 0 && ports.grpc > 0 && ports.metrics > 0);
    assert!(ports.http != ports.grpc && ports.grpc != ports.metrics && ports.http != ports.metrics);
    assert_eq!((app.listen.as_str(), app.protocol.as_str()), ("127.0.0.1", "http"));
    assert_eq!(
        (app.app_log, app.daprd_log),
        (Destination::FileAndConsole, Destination::File)
    );
    assert_eq!((app.resources.len(), &app.config), (0, &None));
    assert_eq!(app.address_text(), format!("127.0.0.1:{}", ports.http));
}

impl App {
    fn address_text(&self) -> String {
        match self.address() {
            Address::Tcp(address) => address,
            Address::Unix(path) => path.display().to_string(),
        }
    }
}

#[test]
fn the_defaults_of_init_are_taken_if_they_are_there() {
    let home = tempfile::tempdir().unwrap();
    let dapr = home.path().join(".dapr");
    std::fs::create_dir_all(dapr.join("components")).unwrap();
    std::fs::write(dapr.join("config.yaml"), "").unwrap();
    let app = App::new(Settings::default(), Some(home.path()), &mut Ports::default()).unwrap();
    assert_eq!(app.resources, [dapr.join("components").display().to_string()]);
    assert_eq!(app.config, Some(dapr.join("config.yaml").display().to_string()));
    std::fs::create_dir(dapr.join("resources")).unwrap();
    let settings = Settings {
        runtime_path: Some(home.path().display().to_string()),
        ..Settings::default()
    };
    let app = App::new(settings, Some(Path::new("/no/such/folder")), &mut Ports::default()).unwrap();
    assert_eq!(app.resources, [dapr.join("resources").display().to_string()]);
}

#[test]
fn negative_ports_are_none() {
    let settings = Settings {
        app_port: Some(-1),
        dapr_http_port: Some(0),
        ..Settings::default()
    };
    let app = new(settings).unwrap();
    assert_eq!(app.ports.app, None);
    assert!(app.ports.http > 0);
}

#[test]
fn mistakes_name_the_field() {
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        error(Settings {
            app_id: text("a.b"),
            ..Settings::default()
        }),
        "appID: \"a.b\" must not contain a dot"
    );
    assert!(
        error(Settings {
            app_id: text("a/b"),
            ..Settings::default()
        })
        .starts_with("appID: ")
    );
    let protocol = Settings {
        app_protocol: text("gopher"),
        ..Settings::default()
    };
    assert_eq!(
        error(protocol),
        "appProtocol: expected one of http, https, h2c, grpc, grpcs, found \"gopher\""
    );
    assert!(
        error(Settings {
            log_level: text("loud"),
            ..Settings::default()
        })
        .starts_with("logLevel: expected one of")
    );
    let app_log = Settings {
        app_log_destination: text("disk"),
        ..Settings::default()
    };
    assert_eq!(
        error(app_log),
        "appLogDestination: expected file, console or fileAndConsole, found \"disk\""
    );
    let folders = Settings {
        resources_paths: Some(Paths(vec!["/no/such/folder".into()])),
        ..Settings::default()
    };
    assert_eq!(error(folders), "resourcesPaths: there is no folder /no/such/folder");
    let config = Settings {
        config_file_path: text("/no.yaml"),
        ..Settings::default()
    };
    assert_eq!(error(config), "configFilePath: there is no file /no.yaml");
    assert_eq!(
        error(Settings {
            app_port: Some(70000),
            ..Settings::default()
        }),
        "appPort: 70000 is no port"
    );
    let twice = Settings {
        app_id: text("a"),
        app_port: Some(4),
        metrics_port: Some(4),
        ..Settings::default()
    };
    assert_eq!(
        error(twice),
        "port 4 is given to both appPort of a and metricsPort of a"
    );
}
