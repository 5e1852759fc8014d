package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
)

type interopCase struct {
	name string
	run  func(context.Context, *grpc.ClientConn)
}

// The cases of gRPC's interoperability tests; one that fails ends the process.
var cases = []interopCase{
	{"empty_unary", with(interop.DoEmptyUnaryCall)},
	{"large_unary", with(interop.DoLargeUnaryCall)},
	{"client_streaming", with(interop.DoClientStreaming)},
	{"server_streaming", with(interop.DoServerStreaming)},
	{"ping_pong", with(interop.DoPingPong)},
	{"empty_stream", with(interop.DoEmptyStream)},
	{"cancel_after_begin", with(interop.DoCancelAfterBegin)},
	{"cancel_after_first_response", with(interop.DoCancelAfterFirstResponse)},
	{"timeout_on_sleeping_server", with(interop.DoTimeoutOnSleepingServer)},
	{"custom_metadata", with(interop.DoCustomMetadata)},
	{"status_code_and_message", with(interop.DoStatusCodeAndMessage)},
	{"special_status_message", with(interop.DoSpecialStatusMessage)},
	{"unimplemented_method", interop.DoUnimplementedMethod},
}

func with(run func(context.Context, testpb.TestServiceClient, ...grpc.CallOption)) func(context.Context, *grpc.ClientConn) {
	return func(ctx context.Context, conn *grpc.ClientConn) { run(ctx, testpb.NewTestServiceClient(conn)) }
}

func call(address, appID string, names []string) {
	// Some cases replace the metadata of their context, so the application's id is added below them.
	withID := func(ctx context.Context) context.Context {
		return metadata.AppendToOutgoingContext(ctx, "dapr-app-id", appID)
	}
	conn, err := grpc.NewClient(address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return invoker(withID(ctx), method, req, reply, cc, opts...)
		}),
		grpc.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			return streamer(withID(ctx), desc, cc, method, opts...)
		}))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, name := range names {
		at := slices.IndexFunc(cases, func(c interopCase) bool { return c.name == name })
		if at < 0 {
			fmt.Fprintln(os.Stderr, "no such case:", name)
			os.Exit(2)
		}
		cases[at].run(ctx, conn)
		fmt.Println("ok", name)
	}
}
