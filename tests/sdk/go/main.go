// A gRPC service that knows nothing of Dapr, and its clients: what is proxied by sidecars.
//
//	sdk serve PORT                 gRPC's own interoperability service, and Prices
//	sdk call ADDRESS APP_ID CASE…  gRPC's own interoperability cases, through the sidecar at ADDRESS
//	sdk cases                      their names
package main

import (
	"fmt"
	"net"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/interop"
	testpb "google.golang.org/grpc/interop/grpc_testing"
)

func main() {
	switch {
	case len(os.Args) == 3 && os.Args[1] == "serve":
		serve(os.Args[2])
	case len(os.Args) > 4 && os.Args[1] == "call":
		call(os.Args[2], os.Args[3], os.Args[4:])
	case len(os.Args) == 2 && os.Args[1] == "cases":
		for _, c := range cases {
			fmt.Println(c.name)
		}
	default:
		fmt.Fprintln(os.Stderr, "serve PORT | call ADDRESS APP_ID CASE… | cases")
		os.Exit(2)
	}
}

func serve(port string) {
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	server := grpc.NewServer()
	testpb.RegisterTestServiceServer(server, interop.NewTestServer())
	healthpb.RegisterHealthServer(server, health.NewServer())
	registerPrices(server)
	if err := server.Serve(listener); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
