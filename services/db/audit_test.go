package main

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	"merchstore.io/merchstore/internal/rpc"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
)

// auditRecord is a row of audit_records without its id and time.
type auditRecord struct {
	Actor     int32
	Action    string
	Target    int32
	RequestID string
}

func (s *service) auditRecords() []auditRecord {
	s.t.Helper()
	rows, err := s.sql().Query(s.t.Context(), `SELECT coalesce(actor_id, 0), action, target_id, coalesce(request_id, '') FROM audit_records ORDER BY id`)
	if err != nil {
		s.t.Fatal(err)
	}
	records, err := pgx.CollectRows(rows, pgx.RowToStructByPos[auditRecord])
	if err != nil {
		s.t.Fatal(err)
	}
	return records
}

func TestChangesOfAdminsAndOwnersAreRecorded(t *testing.T) {
	t.Parallel()
	s := start(t)
	admin, yoga := s.signUp("peter"), s.signUp("yoga")
	product, other := s.product(yoga, 1), s.product(yoga, 1)
	item, err := s.CreateItem(yoga.ctx, &merchstorev1.CreateItemRequest{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	want := []auditRecord{
		{admin.Id, "account.create_admin", admin.Id, ""},
		{yoga.Id, "product.create", product.GetId(), ""},
		{yoga.Id, "product.create", other.GetId(), ""},
	}
	if diff := cmp.Diff(want, s.auditRecords()); diff != "" {
		t.Errorf("at first: %s", diff)
	}
	image := uniquePNG(t)
	for name, tt := range map[string]struct {
		call func(ctx context.Context) error
		by   account
		want string // action, "" for no record
		on   int32
	}{
		"a new username of another account": {func(ctx context.Context) error {
			_, err := s.UpdateUser(ctx, &merchstorev1.UpdateUserRequest{Sid: yoga.Sid, Username: proto.String("yogi")})
			return err
		}, admin, "account.update", yoga.Id},
		"a new password": {func(ctx context.Context) error {
			_, err := s.UpdateUser(ctx, &merchstorev1.UpdateUserRequest{
				Sid: admin.Sid, Password: proto.String(goodPassword + "2"), CurrentPassword: proto.String(goodPassword),
			})
			return err
		}, admin, "account.change_password", admin.Id},
		"a taken username": {func(ctx context.Context) error {
			_, err := s.UpdateUser(ctx, &merchstorev1.UpdateUserRequest{Sid: yoga.Sid, Username: proto.String("peter")})
			return err
		}, admin, "", 0},
		"an update without fields": {func(ctx context.Context) error {
			_, err := s.UpdateUser(ctx, &merchstorev1.UpdateUserRequest{Sid: yoga.Sid})
			return err
		}, admin, "", 0},
		"logging out everywhere": {func(ctx context.Context) error {
			_, err := s.EndAllSessions(ctx, &merchstorev1.EndAllSessionsRequest{Sid: yoga.Sid})
			return err
		}, admin, "account.end_sessions", yoga.Id},
		"logging out": {func(ctx context.Context) error {
			_, err := s.EndSession(ctx, new(merchstorev1.EndSessionRequest))
			return err
		}, admin, "", 0},
		"a deactivation": {func(ctx context.Context) error {
			_, err := s.DeactivateUser(ctx, &merchstorev1.DeactivateUserRequest{Sid: yoga.Sid})
			return err
		}, admin, "account.deactivate", yoga.Id},
		"a second deactivation": {func(ctx context.Context) error {
			if _, err := s.sql().Exec(ctx, `UPDATE users SET active = false WHERE id = $1`, yoga.Id); err != nil {
				return err
			}
			_, err := s.DeactivateUser(ctx, &merchstorev1.DeactivateUserRequest{Sid: yoga.Sid})
			return err
		}, admin, "", 0},
		"a new price": {func(ctx context.Context) error {
			_, err := s.UpdateProduct(ctx, &merchstorev1.UpdateProductRequest{Id: product.GetId(), Price: proto.Int64(1)})
			return err
		}, yoga, "product.update", product.GetId()},
		"a product's new price by an admin": {func(ctx context.Context) error {
			_, err := s.UpdateProduct(ctx, &merchstorev1.UpdateProductRequest{Id: product.GetId(), Price: proto.Int64(2)})
			return err
		}, admin, "product.update", product.GetId()},
		"a stale change": {func(ctx context.Context) error {
			_, err := s.UpdateProduct(ctx, &merchstorev1.UpdateProductRequest{Id: product.GetId(), IfVersion: proto.Int64(99), Price: proto.Int64(1)})
			return err
		}, yoga, "", 0},
		"a picture": {func(ctx context.Context) error {
			_, err := s.upload(ctx, &merchstorev1.UploadPictureRequest{
				Size: int64(len(image)), Target: &merchstorev1.UploadPictureRequest_Set{Set: &merchstorev1.SetPictureRequest{Id: product.GetId()}},
			}, image)
			return err
		}, yoga, "product.set_picture", product.GetId()},
		"a deletion": {func(ctx context.Context) error {
			_, err := s.DeleteProduct(ctx, &merchstorev1.DeleteProductRequest{Id: other.GetId()})
			return err
		}, admin, "product.delete", other.GetId()},
		"an item's deletion": {func(ctx context.Context) error {
			_, err := s.DeleteItem(ctx, &merchstorev1.DeleteItemRequest{Id: item.GetItem().GetId()})
			return err
		}, admin, "item.delete", item.GetItem().GetId()},
	} {
		t.Run(name, func(t *testing.T) {
			// Earlier changes may have ended the session or the account; this is about the records.
			if _, err := s.sql().Exec(t.Context(), `UPDATE users SET active = true, token_epoch = 0, ended_tokens = NULL`); err != nil {
				t.Fatal(err)
			}
			before := len(s.auditRecords())
			err := tt.call(rpc.WithRequestID(tt.by.ctx, "request of "+name))
			records := s.auditRecords()[before:]
			if tt.want == "" {
				if len(records) > 0 {
					t.Errorf("recorded %v", records)
				}
				return
			}
			if diff := cmp.Diff([]auditRecord{{tt.by.Id, tt.want, tt.on, "request of " + name}}, records); err != nil || diff != "" {
				t.Errorf("%v: %s", err, diff)
			}
		})
	}
	t.Run("records stay", func(t *testing.T) {
		for _, sql := range []string{`UPDATE audit_records SET actor_id = 1`, `DELETE FROM audit_records`, `TRUNCATE audit_records`} {
			if _, err := s.sql().Exec(t.Context(), sql); err == nil || !strings.Contains(err.Error(), "neither changed nor deleted") {
				t.Errorf("%s: %v", sql, err)
			}
		}
	})
}

func TestChangesOfTheStoreItselfAreRecorded(t *testing.T) {
	t.Parallel()
	configured := func(s *Settings) { s.AdminUsername, s.AdminPassword, s.SeedProducts = "boss", goodPassword, true }
	s := start(t, configured)
	s.stop()
	startOn(t, s.url, configured).stop()
	if _, err := s.sql().Exec(t.Context(), `UPDATE users SET active = false`); err != nil {
		t.Fatal(err)
	}
	startOn(t, s.url, configured).stop()
	want := []auditRecord{
		{0, "account.create_admin", 1, ""},
		{0, "product.create", 1, ""},
		{0, "product.create", 2, ""},
		{0, "product.create", 3, ""},
		{0, "account.activate", 1, ""},
	}
	if diff := cmp.Diff(want, s.auditRecords()); diff != "" {
		t.Error(diff)
	}
}
