package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/test/eventually"
)

const placeOrder = merchstorev1.DBService_PlaceOrder_FullMethodName

// open opens a call without sending its request.
func open(ctx context.Context, t *testing.T, conn *grpc.ClientConn, method string) grpc.ClientStream {
	t.Helper()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// dial opens another connection, on which a stream's window stays small.
func (s *service) dial() *grpc.ClientConn {
	s.t.Helper()
	conn, err := grpc.NewClient(s.conn.Target(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithStaticStreamWindowSize(64<<10), grpc.WithStaticConnWindowSize(1<<20))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestCallersAreAuthenticatedBeforeTheirRequestIsRead(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, method := range []string{placeOrder, merchstorev1.DBService_UploadPicture_FullMethodName} {
		err := open(t.Context(), t, s.conn, method).RecvMsg(new(merchstorev1.PlaceOrderResponse)) // nothing was sent
		if status.Code(err) != codes.Unauthenticated {
			t.Errorf("%s: %v", method, err)
		}
	}
}

func TestRequestsThatAreNotFinishedEnd(t *testing.T) {
	t.Parallel()
	s := start(t, func(s *Settings) { s.CallTimeout = time.Second })
	err := open(t.Context(), t, s.conn, merchstorev1.DBService_Login_FullMethodName).RecvMsg(new(merchstorev1.LoginResponse))
	if code := status.Code(err); code != codes.DeadlineExceeded && code != codes.Canceled {
		t.Errorf("a login without a request: %v", err)
	}
}

func TestRequestSizes(t *testing.T) {
	t.Parallel()
	s := start(t)
	peter := s.signUp("peter")
	lines := func(n int) *merchstorev1.PlaceOrderRequest {
		r := new(merchstorev1.PlaceOrderRequest)
		for range n {
			r.Lines = append(r.Lines, new(merchstorev1.OrderLine))
		}
		return r
	}
	for name, tt := range map[string]struct {
		call func() error
		code codes.Code
		want string // in the message
	}{
		"more than any message":    {func() error { _, err := s.PlaceOrder(peter.ctx, lines(50_000)); return err }, codes.ResourceExhausted, "larger than max"},
		"more than an order":       {func() error { _, err := s.PlaceOrder(peter.ctx, lines(2_000)); return err }, codes.InvalidArgument, "must not be larger than 2048 bytes"},
		"more lines than an order": {func() error { _, err := s.PlaceOrder(peter.ctx, lines(1_000)); return err }, codes.InvalidArgument, "and 981 more"},
		"a login of any size": {func() error {
			_, err := s.Login(t.Context(), &merchstorev1.LoginRequest{Username: strings.Repeat("x", 60_000)})
			return err
		}, codes.InvalidArgument, "must not be larger than 8192 bytes"},
		"much metadata": {func() error {
			_, err := s.ListItems(metadata.AppendToOutgoingContext(peter.ctx, "x", strings.Repeat("x", 32<<10)), new(merchstorev1.ListItemsRequest))
			return err
		}, codes.Internal, "header list size"},
	} {
		err := tt.call()
		if status.Code(err) != tt.code || !strings.Contains(err.Error(), tt.want) || len(err.Error()) > 4000 {
			t.Errorf("%s: %.4000v", name, err)
		}
	}
}

func TestConnectionsPerAddress(t *testing.T) {
	t.Parallel()
	s := start(t, func(s *Settings) { s.RPC.PerAddress = 2 })
	s.signUp("peter") // over the first connection
	for i, want := range []codes.Code{codes.Unauthenticated, codes.Unavailable} {
		if _, err := merchstorev1.NewDBServiceClient(s.dial()).ListItems(t.Context(), new(merchstorev1.ListItemsRequest)); status.Code(err) != want {
			t.Errorf("connection %d: %v, want %s", i+2, err, want)
		}
	}
}

// A client may leave responses unread, but not more than fits into a connection's share of memory.
func TestResponsesThatAreNotRead(t *testing.T) {
	t.Parallel()
	s := start(t)
	peter := s.signUp("peter")
	if _, err := s.sql().Exec(t.Context(), `INSERT INTO items (name, description) SELECT 'x', repeat('€', 300) FROM generate_series(1, 200)`); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(peter.ctx)
	defer cancel()
	list := &merchstorev1.ListItemsRequest{Limit: 200} // 180 KB, of which 64 KiB fit into the stream's window
	conn := s.dial()
	client := merchstorev1.NewDBServiceClient(conn)
	for i := 0; ; i++ {
		if i == 200 {
			t.Fatal("36 MB are waiting to be read, and there is no limit")
		}
		stream := open(ctx, t, conn, merchstorev1.DBService_ListItems_FullMethodName)
		if err := errors.Join(stream.SendMsg(list), stream.CloseSend()); err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Header(); err != nil {
			t.Fatal(err)
		}
		if _, err := client.ListItems(peter.ctx, list); err != nil {
			if reason(err) != "unavailable" || i < 50 {
				t.Errorf("call %d: %v", i, err)
			}
			break
		}
	}
	cancel()
	eventually.NoError(t, 10*time.Second, "the server to notice that the calls have ended", func() error {
		_, err := client.ListItems(peter.ctx, list)
		return err //nolint:wrapcheck // of the test's own call
	})
}

// upload sends a picture in parts.
func (s *service) upload(ctx context.Context, first *merchstorev1.UploadPictureRequest, parts ...[]byte) (*merchstorev1.Product, error) {
	stream, err := s.UploadPicture(ctx)
	if err != nil {
		return nil, err
	}
	err = stream.Send(first)
	for i := 0; i < len(parts) && err == nil; i++ {
		err = stream.Send(&merchstorev1.UploadPictureRequest{Chunk: parts[i]})
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	resp, err := stream.CloseAndRecv()
	return resp.GetProduct(), err
}

func TestUploadPicture(t *testing.T) {
	t.Parallel()
	s := start(t, func(s *Settings) { s.UploadBytes = 20 << 20 })
	peter, yoga := s.signUp("peter"), s.signUp("yoga")
	image := uniquePNG(t)
	create := func(size int) *merchstorev1.UploadPictureRequest {
		return &merchstorev1.UploadPictureRequest{
			Size: int64(size), Target: &merchstorev1.UploadPictureRequest_Create{Create: &merchstorev1.CreateProductRequest{Name: "Hoodie", Price: 100}},
		}
	}
	p, err := s.upload(yoga.ctx, create(len(image)), image[:10], image[10:])
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.GetPicture(yoga.ctx, &merchstorev1.GetPictureRequest{Hash: p.GetPicture().GetHash(), Offset: 10, Limit: 20})
	if err != nil || !bytes.Equal(got.GetContent(), image[10:30]) || got.GetTotal() != int64(len(image)) {
		t.Errorf("a part of the picture: %v of %d, %v", got.GetContent(), got.GetTotal(), err)
	}
	for name, tt := range map[string]struct {
		first *merchstorev1.UploadPictureRequest
		parts [][]byte
	}{
		"one without a purpose":         {&merchstorev1.UploadPictureRequest{Size: 1}, nil},
		"one without a size":            {create(0), nil},
		"one of more than 10 MB":        {create(11 << 20), nil},
		"one that ends too early":       {create(len(image)), [][]byte{image[:10]}},
		"one larger than its size":      {create(10), [][]byte{image}},
		"one that is no picture":        {create(3), [][]byte{[]byte("abc")}},
		"one of a product without name": {&merchstorev1.UploadPictureRequest{Size: 3, Target: &merchstorev1.UploadPictureRequest_Create{Create: new(merchstorev1.CreateProductRequest)}}, nil},
	} {
		if _, err := s.upload(yoga.ctx, tt.first, tt.parts...); reason(err) != "invalid_request" {
			t.Errorf("%s: %v", name, err)
		}
	}

	// Uploads that do not go on take their account's share, and no other's.
	held, cancel := context.WithCancel(yoga.ctx)
	defer cancel()
	ended := make(chan error, 2)
	for range 2 { // together more than the share
		stream, err := s.UploadPicture(held)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(create(6 << 20)); err != nil {
			t.Fatal(err)
		}
		go func() { ended <- stream.RecvMsg(new(merchstorev1.UploadPictureResponse)) }()
	}
	if err := <-ended; status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "too many pictures") {
		t.Errorf("more than an account's share: %v", err)
	}
	if _, err := s.upload(peter.ctx, create(len(image)), image); err != nil {
		t.Errorf("another account cannot upload: %v", err)
	}
}

func TestQuotas(t *testing.T) {
	t.Parallel()
	s := start(t, func(s *Settings) {
		s.Quotas.Items, s.Quotas.Products, s.Quotas.Orders, s.Quotas.PictureBytes, s.Quotas.Searches = 2, 2, 2, 100, 2
	})
	admin, yoga, other := s.signUp("peter"), s.signUp("yoga"), s.signUp("other")
	product := s.product(admin, 100)
	for name, create := range map[string]func(account) error{
		"items": func(a account) error {
			_, err := s.CreateItem(a.ctx, &merchstorev1.CreateItemRequest{Name: "x"})
			return err
		},
		"products": func(a account) error {
			_, err := s.CreateProduct(a.ctx, &merchstorev1.CreateProductRequest{Name: "x"})
			return err
		},
		"orders": func(a account) error {
			_, err := s.PlaceOrder(a.ctx, &merchstorev1.PlaceOrderRequest{Lines: []*merchstorev1.OrderLine{{ProductId: product.GetId(), Quantity: 1}}})
			return err
		},
		"searches": func(a account) error {
			_, err := s.ListProducts(a.ctx, &merchstorev1.ListProductsRequest{Query: "x"})
			return err
		},
	} {
		for i, want := range []string{"", "", "quota_exceeded"} {
			if err := create(yoga); string(reason(err)) != want {
				t.Errorf("%s: attempt %d: %v", name, i+1, err)
			}
		}
		if err := create(other); err != nil {
			t.Errorf("%s of another account: %v", name, err)
		}
	}
	_, err := s.CreateProduct(admin.ctx, &merchstorev1.CreateProductRequest{Name: "x"})
	if err != nil {
		t.Errorf("an admin's third product: %v", err)
	}
}

func TestDeleteItem(t *testing.T) {
	t.Parallel()
	s := start(t)
	admin, yoga := s.signUp("peter"), s.signUp("yoga")
	item, err := s.CreateItem(yoga.ctx, &merchstorev1.CreateItemRequest{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		by   account
		want string
	}{{yoga, "forbidden"}, {admin, ""}, {admin, "item_not_found"}} {
		_, err := s.DeleteItem(step.by.ctx, &merchstorev1.DeleteItemRequest{Id: item.GetItem().GetId()})
		if string(reason(err)) != step.want {
			t.Errorf("by %s: %v, want %q", step.by.Username, err, step.want)
		}
	}
	if n := s.count(`SELECT count(*)::integer FROM items`); n != 0 {
		t.Errorf("%d items are left", n)
	}
}
