package main

import (
	"context"
	"errors"
	"io"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Prices is described by hand, with messages that every language has, so that a client needs no generated code:
//
//	service shop.Prices {
//	  rpc Get(StringValue) returns (DoubleValue);            // NOT_FOUND with details for what is not sold
//	  rpc List(StringValue) returns (stream DoubleValue);
//	  rpc Total(stream StringValue) returns (DoubleValue);
//	  rpc Quote(stream StringValue) returns (stream DoubleValue);
//	  rpc Context(StringValue) returns (Struct);             // the metadata of the call; answers with a header and a trailer
//	}
type prices map[string]float64

type pricesServer interface {
	get(context.Context, *wrapperspb.StringValue) (*wrapperspb.DoubleValue, error)
}

func registerPrices(server *grpc.Server) {
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "shop.Prices",
		HandlerType: (*pricesServer)(nil),
		Methods: []grpc.MethodDesc{
			{MethodName: "Get", Handler: unary(prices.get)},
			{MethodName: "Context", Handler: unary(prices.context)},
		},
		Streams: []grpc.StreamDesc{
			{StreamName: "List", ServerStreams: true, Handler: stream(prices.list)},
			{StreamName: "Total", ClientStreams: true, Handler: stream(prices.total)},
			{StreamName: "Quote", ServerStreams: true, ClientStreams: true, Handler: stream(prices.quote)},
		},
	}, prices{"apple": 0.5, "pear": 0.75, "plum": 0.25})
}

func unary[Out any](method func(prices, context.Context, *wrapperspb.StringValue) (Out, error)) grpc.MethodHandler {
	return func(srv any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		request := new(wrapperspb.StringValue)
		if err := decode(request); err != nil {
			return nil, err
		}
		return method(srv.(prices), ctx, request)
	}
}

func stream(method func(prices, grpc.ServerStream) error) grpc.StreamHandler {
	return func(srv any, stream grpc.ServerStream) error { return method(srv.(prices), stream) }
}

func (p prices) of(name string) (float64, error) {
	price, sold := p[name]
	if sold {
		return price, nil
	}
	refused, err := status.New(codes.NotFound, "we do not sell "+name).WithDetails(&errdetails.ErrorInfo{
		Reason: "NOT_SOLD", Domain: "shop", Metadata: map[string]string{"name": name},
	})
	if err != nil {
		return 0, err
	}
	return 0, refused.Err()
}

func (p prices) get(_ context.Context, request *wrapperspb.StringValue) (*wrapperspb.DoubleValue, error) {
	price, err := p.of(request.GetValue())
	if err != nil {
		return nil, err
	}
	return wrapperspb.Double(price), nil
}

func (p prices) list(stream grpc.ServerStream) error {
	request := new(wrapperspb.StringValue)
	if err := stream.RecvMsg(request); err != nil {
		return err
	}
	for _, name := range strings.Fields(request.GetValue()) {
		price, err := p.of(name)
		if err != nil {
			return err
		}
		if err := stream.SendMsg(wrapperspb.Double(price)); err != nil {
			return err
		}
	}
	return nil
}

func (p prices) total(stream grpc.ServerStream) error {
	sum := 0.0
	err := p.each(stream, func(price float64) error { sum += price; return nil })
	if err != nil {
		return err
	}
	return stream.SendMsg(wrapperspb.Double(sum))
}

func (p prices) quote(stream grpc.ServerStream) error {
	return p.each(stream, func(price float64) error { return stream.SendMsg(wrapperspb.Double(price)) })
}

// each calls a function with the price of each name that is sent.
func (p prices) each(stream grpc.ServerStream, do func(float64) error) error {
	for {
		request := new(wrapperspb.StringValue)
		if err := stream.RecvMsg(request); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		price, err := p.of(request.GetValue())
		if err != nil {
			return err
		}
		if err := do(price); err != nil {
			return err
		}
	}
}

func (p prices) context(ctx context.Context, _ *wrapperspb.StringValue) (*structpb.Struct, error) {
	fields := map[string]any{}
	incoming, _ := metadata.FromIncomingContext(ctx)
	for key, values := range incoming {
		fields[key] = strings.ToValidUTF8(strings.Join(values, ","), "?")
	}
	if err := grpc.SetHeader(ctx, metadata.Pairs("x-shop", "open", "x-raw-bin", "\x00\xff")); err != nil {
		return nil, err
	}
	if err := grpc.SetTrailer(ctx, metadata.Pairs("x-till", "closed")); err != nil {
		return nil, err
	}
	return structpb.NewStruct(fields)
}
