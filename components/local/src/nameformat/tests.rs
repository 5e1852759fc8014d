use super::*;
use component::Properties;

#[tokio::test]
async fn the_id_is_put_into_the_format() {
    for (format, address) in [
        ("service-{appid}.cluster.local", "service-shop.cluster.local:50002"),
        ("{appid}.{appid}:7000", "shop.shop:7000"),
        ("gateway:7000", "gateway:7000"),
        ("[fd00::1]:7000", "[fd00::1]:7000"),
        ("[fd00::1]", "[fd00::1]:50002"),
    ] {
        let options = Options { format: format.into() };
        let resolver = NameFormat::open(options, Open::default()).await.expect("opens");
        let request = Resolve {
            app_id: "shop",
            namespace: "",
            port: 50002,
        };
        assert_eq!(resolver.resolve(request).await.expect("answers"), [address]);
    }
    assert!(Options::decode(&Properties::default()).is_err());
}
