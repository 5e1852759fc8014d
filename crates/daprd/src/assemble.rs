//! The sidecar put together, in dependency order, and taken apart again.

use crate::{
    Args, Settings, app_config, loading, names, observe, platform,
    servers::{Shared, Tasks},
    settings, stop,
};
use api::{Table, server::Bound};
use app::App;
use blocks::{
    bindings, health,
    metadata::{self, Actors, Metadata},
    secrets, state, unconfigured,
};
use invoke::Invoke;
use pubsub::PubSub;
use resources::Configuration;
use runtime::{Info, Runtime};
use service::{Health, Host, health::Target};
use std::{sync::Arc, time::Instant};
use telemetry::{metrics::Metrics, trace::Tracer};
use tokio_util::sync::CancellationToken;

pub(crate) const LOG: &str = "dapr.runtime";

/// Why the sidecar cannot start, in words for its user.
pub(crate) type Failure = String;

/// Runs the sidecar until it is told to end. A SIGHUP takes everything down and puts it together anew.
pub(crate) async fn run(args: Args, host: Host) -> Result<(), Failure> {
    let settings = Settings::new(&args, settings::variable).map_err(|e| e.to_string())?;
    loop {
        let mut hangups = host.hangups();
        hangups.mark_unchanged();
        let life = host.child();
        let running = one_life(&args, &settings, life.clone());
        tokio::pin!(running);
        let again = tokio::select! {
            ended = &mut running => return ended,
            changed = hangups.changed() => changed.is_ok(),
        };
        tracing::info!(target: LOG, "Received signal 'hangup'; restarting");
        life.cancel.cancel();
        running.await?;
        if !again || host.cancel.is_cancelled() {
            return Ok(());
        }
    }
}

async fn one_life(args: &Args, settings: &Settings, host: Host) -> Result<(), Failure> {
    let began = Instant::now();
    tracing::info!(target: LOG, "Starting Dapr Runtime -- version {} -- commit ", crate::DAPR_VERSION);
    tracing::info!(target: LOG, "Outrigger {}; log level set to: {:?}", crate::VERSION, args.common.log_level);
    for what in Settings::without_effect(args) {
        tracing::warn!(target: LOG, "{what} has no effect yet");
    }
    announce_absent(args);
    let configuration = Arc::new(loading::configuration(settings)?);
    let metrics = observe::metrics(settings, &configuration, args.common.enable_metrics).map_err(|e| e.to_string())?;
    let (tracer, worker) = observe::tracer(settings, &configuration).map_err(|e| e.to_string())?;
    let traces = CancellationToken::new();
    let exporting = worker.map(|worker| host.spawn("trace-export", worker.run(traces.clone())));
    let result = with_telemetry(args, settings, &host, &configuration, &metrics, &tracer, began).await;
    traces.cancel();
    if let Some(exporting) = exporting {
        let _ended = exporting.await;
    }
    result
}

/// An address may be given as nothing in several spellings.
fn absent(address: &str) -> bool {
    address.trim().trim_matches(['"', '\'']).trim().is_empty()
}

/// What the log says of parts that are not configured, in the words that are looked for.
fn announce_absent(args: &Args) {
    if absent(&args.placement_host_address) {
        tracing::info!(target: "dapr.runtime.actor", "Actor runtime disabled: api error: code = Unavailable desc = placement service is not configured. Actors and Workflow APIs will be unavailable");
    }
    if absent(&args.scheduler_host_address) {
        tracing::warn!(target: "dapr.runtime.scheduler", "No scheduler host addresses provided. Scheduler disabled");
    }
}

async fn with_telemetry(
    args: &Args,
    settings: &Settings,
    host: &Host,
    configuration: &Arc<Configuration>,
    metrics: &Metrics,
    tracer: &Tracer,
    began: Instant,
) -> Result<(), Failure> {
    if args.common.enable_metrics && metrics.is_enabled() {
        let (address, port) = args.common.metrics_address();
        let listener = service::http::listen(&address, port)
            .await
            .map_err(|e| format!("metrics server: {address}:{port}: {e}"))?;
        tracing::info!(target: LOG, "metrics server started on {address}:{port}/");
        host.spawn(
            "metrics",
            service::http::serve_metrics(listener, metrics.clone(), host.cancel.clone()),
        );
    }
    let resources = loading::resources(settings)?;
    let (internal, info) = identity(settings).await?;
    let registry = catalog::registry();
    let resolver = names::open(&registry, &info, configuration).await;
    let loader = loading::loader(registry, info.clone(), metrics, host).await;
    let snapshot = loading::snapshot(&loader, configuration.clone(), resources, metrics)
        .await
        .map_err(|e| format!("failed to load components: {e}"))?;
    loading::check(&snapshot, &loader.info)?;
    secrets::check_scopes(&snapshot);
    let runtime = Arc::new(Runtime::new(info, snapshot));
    let app = app(settings, &runtime, metrics)?;
    let shared = Shared {
        settings,
        runtime: &runtime,
        configuration,
        metrics,
        tracer,
    };
    let actors_wanted = !absent(&args.placement_host_address);
    let parts = Parts::new(&shared, host, app.clone(), resolver, actors_wanted);
    let serving = host.cancel.child_token();
    // Servers end after the subscriptions have: what is in flight may still call the API.
    let servers = CancellationToken::new();
    let mut tasks = shared.internal(&parts.internal, internal, &servers);
    tasks.extend(shared.apis(&parts.table, &servers).await.map_err(|e| e.to_string())?);
    let ends: Vec<_> = spawn(host, tasks);
    parts.ready.servers();
    live(settings, host, &serving, &parts, app.as_ref(), metrics, began).await;
    tracing::info!(target: LOG, "Dapr is shutting down. Waiting for {:?} at most", settings.grace);
    let taken_down = tokio::time::timeout(settings.grace, take_down(&parts, &runtime, servers.clone(), ends)).await;
    servers.cancel();
    match taken_down {
        Ok(()) => {
            tracing::info!(target: LOG, "Daprd shutdown gracefully");
            Ok(())
        }
        Err(_) => {
            tracing::error!(target: LOG, "Graceful shutdown timeout exceeded, forcing shutdown");
            Err("graceful shutdown timeout exceeded".into())
        }
    }
}

fn spawn(host: &Host, tasks: Tasks) -> Vec<tokio::task::JoinHandle<Option<()>>> {
    tasks.into_iter().map(|(name, task)| host.spawn(name, task)).collect()
}

/// Binds the port for other sidecars, before any component is opened, and says who the sidecar is.
async fn identity(settings: &Settings) -> Result<(Bound, Info), Failure> {
    let wanted = settings
        .internal_port
        .unwrap_or_else(|| settings::stable_port(&settings.app_id));
    let bound = match api::server::bind(&settings.internal_listen, wanted, None).await {
        // The stable port is a wish.
        Err(_) if settings.internal_port.is_none() => api::server::bind(&settings.internal_listen, 0, None).await,
        other => other,
    };
    let bound = bound.map_err(|e| e.to_string())?;
    let port = bound.addresses().first().map_or(wanted, |address| address.port());
    tracing::info!(target: LOG, "Internal gRPC server is running on {:?}:{port}", settings.internal_listen);
    let info = Info {
        app_id: settings.app_id.clone(),
        namespace: settings.namespace.clone().unwrap_or_else(|| "default".into()),
        namespace_set: settings.namespace.is_some(),
        host_address: host_address(settings),
        internal_port: port,
        http_port: settings.http_port,
        grpc_port: settings.grpc_port,
        max_body_size: settings.max_body_size,
    };
    Ok((bound, info))
}

/// The address that is announced: the one that the port for others listens on, if that is a certain one; what the
/// environment says; or that of the route outwards.
fn host_address(settings: &Settings) -> String {
    let certain = |address: &&String| address.parse::<std::net::IpAddr>().is_ok_and(|ip| !ip.is_unspecified());
    let listening = settings.internal_listen.first().filter(certain).cloned();
    listening
        .or_else(|| settings.host_ip.clone())
        .unwrap_or_else(|| platform::host_address().to_string())
}

fn app(settings: &Settings, runtime: &Arc<Runtime>, metrics: &Metrics) -> Result<Option<Arc<App>>, Failure> {
    let Some(port) = settings.app_port else {
        tracing::warn!(target: "dapr.runtime.channels", "App channel is not initialized. Did you configure an app-port?");
        return Ok(None);
    };
    let options = app::Options {
        protocol: settings.app_protocol,
        address: settings.app_address.clone(),
        port,
        max_concurrency: settings.app_max_concurrency,
        token: settings.app_token.clone(),
        max_header_bytes: settings.read_buffer_size,
    };
    let health = app::Health::new(settings.app_health.clone());
    let app = App::new(options, health, runtime.clone(), metrics.clone()).map_err(|e| format!("app channel: {e}"))?;
    Ok(Some(Arc::new(app)))
}

/// What must be ready, as seen by its owners.
struct Ready {
    all: Health,
    outbound: Health,
    servers: Target,
    servers_outbound: Target,
    runtime: Target,
}

impl Ready {
    fn new() -> Self {
        let (all, outbound) = (Health::default(), Health::default());
        let (servers, servers_outbound, runtime) = (
            all.target("api-servers"),
            outbound.target("api-servers"),
            all.target("runtime"),
        );
        Self {
            all,
            outbound,
            servers,
            servers_outbound,
            runtime,
        }
    }

    fn servers(&self) {
        self.servers.ready();
        self.servers_outbound.ready();
    }
}

/// The building blocks and their tables.
struct Parts {
    pubsub: Arc<PubSub>,
    metadata: Arc<Metadata>,
    /// Whether the flags ask for actors.
    actors_wanted: bool,
    table: Table,
    internal: Table,
    ready: Ready,
}

impl Parts {
    fn new(
        shared: &Shared<'_>,
        host: &Host,
        app: Option<Arc<App>>,
        resolver: Option<Arc<dyn component::name_resolution::NameResolver>>,
        actors_wanted: bool,
    ) -> Self {
        let Shared {
            settings,
            runtime,
            metrics,
            tracer,
            ..
        } = *shared;
        let ready = Ready::new();
        let pubsub = PubSub::new(pubsub::Options {
            runtime: runtime.clone(),
            app: app.clone(),
            metrics: metrics.clone(),
            tracer: tracer.clone(),
            ask_app: settings.ask_subscriptions,
            cancel: host.cancel.clone(),
        });
        let listed = pubsub.clone();
        let metadata = Metadata::new(
            app.clone(),
            crate::VERSION,
            Box::new(move || listed.subscriptions()),
            stop::stop(host.cancel.clone()),
        );
        let metadata = Arc::new(metadata);
        if actors_wanted {
            metadata.set_actors(Actors::Starting);
        }
        let invoke = Arc::new(Invoke::new(invoke::Options {
            runtime: runtime.clone(),
            app,
            resolver,
            metrics: metrics.clone(),
            tracer: tracer.clone(),
        }));
        let table = Table::default()
            .add(
                &Arc::new(health::Health {
                    all: ready.all.clone(),
                    outbound: ready.outbound.clone(),
                }),
                health::OPS,
            )
            .add(&metadata, metadata::OPS)
            .add(&Arc::new(state::State::new(metrics.clone())), state::OPS)
            .add(&Arc::new(secrets::Secrets::new(metrics.clone())), secrets::OPS)
            .add(&Arc::new(bindings::Bindings::new(metrics.clone())), bindings::OPS)
            .add(&pubsub, pubsub::OPS)
            .add(&invoke, invoke::OPS)
            .add(&Arc::new(unconfigured::Unconfigured), unconfigured::OPS)
            .http_fallback(&invoke, invoke::HTTP_FALLBACK)
            .grpc_fallback(&invoke, invoke::GRPC_FALLBACK);
        let internal = Table::default()
            .add(&invoke, invoke::INTERNAL_OPS)
            .grpc_fallback(&invoke, invoke::INTERNAL_GRPC_FALLBACK);
        Self {
            pubsub,
            metadata,
            actors_wanted,
            table,
            internal,
            ready,
        }
    }
}

impl Parts {
    /// The sidecar is ready.
    fn running(&self, began: Instant) {
        self.ready.runtime.ready();
        let took = began.elapsed().as_millis();
        tracing::info!(target: LOG, "dapr initialized. Status: Running. Init Elapsed {took}ms");
    }
}

/// From servers that answer to an application that is served, until the end is asked for.
async fn live(
    settings: &Settings,
    host: &Host,
    serving: &CancellationToken,
    parts: &Parts,
    app: Option<&Arc<App>>,
    metrics: &Metrics,
    began: Instant,
) {
    if let Some(app) = app {
        let port = settings.app_port.unwrap_or_default();
        tracing::info!(target: LOG, "application protocol: {}. waiting on port {port}.  This will block until the app is listening on that port.", settings.app_protocol.name());
        app.wait_until_listening(serving).await;
        if serving.is_cancelled() {
            return;
        }
        tracing::info!(target: LOG, "application discovered on port {port}");
        if settings.app_health.is_some() {
            let (health, app, metrics) = (app.health().clone(), app.clone(), metrics.clone());
            let cancel = serving.clone();
            host.spawn("app-health", health.run(app, metrics, cancel));
        }
    }
    // An application whose health is checked is asked nothing before it is well; the sidecar itself is ready.
    let checked = app.filter(|_| settings.app_health.is_some());
    if checked.is_some() {
        parts.running(began);
    }
    let serve_app = async {
        if let Some(app) = checked {
            let mut health = app.health().watch();
            let _told = health.wait_for(|well| *well).await;
        }
        ask_config(settings, parts, app).await;
        parts.pubsub.start().await;
    };
    tokio::select! {
        () = serving.cancelled() => return,
        () = serve_app => {}
    }
    if checked.is_none() {
        parts.running(began);
    }
    serving.cancelled().await;
}

/// Asks the application for its settings, unless that is not wanted.
async fn ask_config(settings: &Settings, parts: &Parts, app: Option<&Arc<App>>) {
    let mut types = Vec::new();
    match app {
        Some(_) if !settings.ask_config => {
            tracing::info!(target: LOG, "Skipping programmatic dapr configuration loading")
        }
        Some(app) => types = app_config::ask(app, &settings.app_id).await.entities,
        None => {}
    }
    if parts.actors_wanted {
        parts.metadata.set_actors(Actors::Hosting(types));
    }
}

/// The end: nothing new is taken in, what is in flight is finished, then servers and components are closed.
async fn take_down(
    parts: &Parts,
    runtime: &Arc<Runtime>,
    servers: CancellationToken,
    ends: Vec<tokio::task::JoinHandle<Option<()>>>,
) {
    parts.ready.runtime.not_ready();
    parts.pubsub.stop().await;
    servers.cancel();
    for end in ends {
        let _ended = end.await;
    }
    runtime.snapshot().close().await;
}
