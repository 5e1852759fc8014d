//! What the generated code and the descriptors promise to those who use them.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message as _;
use tonic::server::NamedService;
use wire::google::protobuf::{FileDescriptorProto, FileDescriptorSet};

fn files() -> Vec<FileDescriptorProto> {
    FileDescriptorSet::decode(wire::FILE_DESCRIPTOR_SET)
        .expect("a descriptor set")
        .file
}

#[test]
fn descriptors_name_each_service_and_its_methods() {
    let mut services = BTreeMap::new();
    for file in files() {
        for service in &file.service {
            let name = format!("{}.{}", file.package(), service.name());
            services.insert(name.trim_start_matches('.').to_owned(), service.method.len());
        }
    }
    let expected = [
        ("TaskHubSidecarService", 17),
        ("dapr.proto.components.v1.InputBinding", 3),
        ("dapr.proto.components.v1.OutputBinding", 4),
        ("dapr.proto.components.v1.PubSub", 8),
        ("dapr.proto.components.v1.QueriableStateStore", 1),
        ("dapr.proto.components.v1.SecretStore", 5),
        ("dapr.proto.components.v1.StateStore", 9),
        ("dapr.proto.components.v1.TransactionalStateStore", 1),
        ("dapr.proto.components.v1.TransactionalStoreMultiMaxSize", 1),
        ("dapr.proto.internals.v1.ServiceInvocation", 5),
        ("dapr.proto.operator.v1.Operator", 16),
        ("dapr.proto.placement.v1.Placement", 1),
        ("dapr.proto.runtime.v1.AppCallback", 7),
        ("dapr.proto.runtime.v1.AppCallbackAlpha", 2),
        ("dapr.proto.runtime.v1.AppCallbackHealthCheck", 1),
        ("dapr.proto.runtime.v1.Dapr", 72),
        ("dapr.proto.scheduler.v1.Scheduler", 8),
        ("dapr.proto.sentry.v1.CA", 1),
    ];
    assert_eq!(
        services,
        expected.map(|(name, methods)| (name.to_owned(), methods)).into()
    );
}

#[test]
fn descriptors_are_complete() {
    let files = files();
    for file in &files {
        for import in &file.dependency {
            assert!(
                files.iter().any(|f| f.name() == import),
                "{} imports {import}",
                file.name()
            );
        }
        let package = file.package().replace('.', "/");
        match package.as_str() {
            "" | "durabletask/protos/backend/v1" => assert!(!file.name().contains('/'), "{}", file.name()),
            package => assert!(file.name().starts_with(package), "{}", file.name()),
        }
    }
}

#[test]
fn servers_carry_the_full_name_of_their_service() {
    use wire::durabletask::task_hub_sidecar_service_server::TaskHubSidecarServiceServer;
    use wire::runtime::v1::dapr_server::DaprServer;

    assert_eq!(<DaprServer<()> as NamedService>::NAME, "dapr.proto.runtime.v1.Dapr");
    assert_eq!(
        <TaskHubSidecarServiceServer<()> as NamedService>::NAME,
        "TaskHubSidecarService"
    );
}

#[test]
fn bytes_share_the_buffer_they_were_decoded_from() {
    let sent = wire::runtime::v1::GetStateResponse {
        data: Bytes::from_static(b"value"),
        ..Default::default()
    };
    let buffer = Bytes::from(sent.encode_to_vec());
    let got = wire::runtime::v1::GetStateResponse::decode(buffer.clone()).expect("what was encoded");
    assert_eq!(got, sent);
    assert!(buffer.as_ptr_range().contains(&got.data.as_ptr()));
}

#[test]
fn wrappers_tell_nothing_from_empty() {
    let started = wire::durabletask::ExecutionStartedEvent {
        input: Some(String::new()),
        ..Default::default()
    };
    let got = wire::durabletask::ExecutionStartedEvent::decode(started.encode_to_vec().as_slice());
    assert_eq!(got, Ok(started));
}
