package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/timestamppb"

	"merchstore.io/merchstore/internal/process"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
)

// The bare pair is the baseline of reads: a Gin server that calls a gRPC server that answers from
// memory. Each is a process of its own, as the store's services are.

// bareStore is a DBService with one product in memory.
type bareStore struct {
	merchstorev1.UnimplementedDBServiceServer
}

func (bareStore) GetProduct(_ context.Context, r *merchstorev1.GetProductRequest) (*merchstorev1.GetProductResponse, error) {
	now := timestamppb.New(time.Unix(1732925683, 0))
	return &merchstorev1.GetProductResponse{Product: &merchstorev1.Product{
		Id: r.GetId(), Name: "SUSTech Hoodie", Category: "clothing", Price: 19900, Stock: 100, Version: 1,
		Slogan:      "Warm on the coldest day of the Shenzhen winter.",
		Description: "Heavy cotton hoodie in university blue, with the emblem stitched on the chest. Unisex.",
		CreatedAt:   now, UpdatedAt: now,
	}}, nil
}

// serveBareRPC runs the gRPC server.
func serveBareRPC(ctx context.Context, addr string) error {
	l, err := process.Listen(ctx, addr)
	if err != nil {
		return err
	}
	s := grpc.NewServer()
	merchstorev1.RegisterDBServiceServer(s, bareStore{})
	context.AfterFunc(ctx, s.Stop)
	if err := s.Serve(l); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// bareProduct is a product in the JSON of the bare Gin server.
type bareProduct struct {
	ID          int32       `json:"id"`
	Name        string      `json:"name"`
	Description string      `json:"description"`
	Category    string      `json:"category"`
	Price       json.Number `json:"price"`
	Slogan      string      `json:"slogan"`
	Stock       int32       `json:"stock"`
	CreatedAt   time.Time   `json:"created_at"`
	UpdatedAt   time.Time   `json:"updated_at"`
}

// serveBareGin runs the Gin server. Without a gRPC address it answers from memory itself.
func serveBareGin(ctx context.Context, addr, rpcAddr string) error {
	get := bareStore{}.GetProduct
	if rpcAddr != "" {
		conn, err := grpc.NewClient(rpcAddr, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return fmt.Errorf("prepare connection: %w", err)
		}
		defer conn.Close()
		client := merchstorev1.NewDBServiceClient(conn)
		get = func(ctx context.Context, r *merchstorev1.GetProductRequest) (*merchstorev1.GetProductResponse, error) {
			return client.GetProduct(ctx, r)
		}
	}
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	router.GET("/api/v1/products/:id", func(c *gin.Context) {
		id, err := strconv.ParseInt(c.Param("id"), 10, 32)
		if err != nil {
			c.Status(http.StatusBadRequest)
			return
		}
		r, err := get(c.Request.Context(), &merchstorev1.GetProductRequest{Id: int32(id)})
		if err != nil {
			c.Status(http.StatusServiceUnavailable)
			return
		}
		p := r.GetProduct()
		c.JSON(http.StatusOK, bareProduct{
			ID: p.GetId(), Name: p.GetName(), Description: p.GetDescription(), Category: p.GetCategory(), Slogan: p.GetSlogan(),
			Price: json.Number(fmt.Sprintf("%d.%02d", p.GetPrice()/100, p.GetPrice()%100)), Stock: p.GetStock(),
			CreatedAt: p.GetCreatedAt().AsTime(), UpdatedAt: p.GetUpdatedAt().AsTime(),
		})
	})
	l, err := process.Listen(ctx, addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: router, ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() }) // at the end of the measurement
	if err := server.Serve(l); err != nil && ctx.Err() == nil {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}
