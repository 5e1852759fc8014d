// Prices is a gRPC service that knows nothing of Dapr: its sidecar passes on whatever it offers.
//
//	service shop.Prices {
//	  rpc Get(google.protobuf.StringValue) returns (google.protobuf.DoubleValue);
//	  rpc List(google.protobuf.StringValue) returns (stream google.protobuf.StringValue);
//	}
package main

import (
	"context"
	"log"
	"net"
	"os"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

var prices = map[string]float64{"anchor": 120, "paddle": 35.5, "rope": 12.25, "sail": 240}

func get(name string) (*wrapperspb.DoubleValue, error) {
	price, sold := prices[name]
	if !sold {
		return nil, status.Errorf(codes.NotFound, "we do not sell %q", name)
	}
	return wrapperspb.Double(price), nil
}

func list(_ any, stream grpc.ServerStream) error {
	if err := stream.RecvMsg(new(wrapperspb.StringValue)); err != nil {
		return err
	}
	names := []string{}
	for name := range prices {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := stream.SendMsg(wrapperspb.String(name)); err != nil {
			return err
		}
	}
	return nil
}

// The service is described by hand, so that the demo needs no code generator.
var service = grpc.ServiceDesc{
	ServiceName: "shop.Prices",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: "Get",
		Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			name := new(wrapperspb.StringValue)
			if err := decode(name); err != nil {
				return nil, err
			}
			return get(name.GetValue())
		},
	}},
	Streams: []grpc.StreamDesc{{StreamName: "List", ServerStreams: true, Handler: list}},
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("APP_PORT"))
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	server.RegisterService(&service, struct{}{})
	log.Print("prices are told at ", listener.Addr())
	log.Fatal(server.Serve(listener))
}
