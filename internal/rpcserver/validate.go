package rpcserver

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"merchstore.io/merchstore/internal/failure"
)

// maxViolations bounds the invalid fields that an error lists.
const maxViolations = 20

// unaryValidation normalizes each request and validates it against the rules in its proto.
func unaryValidation(v protovalidate.Validator) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		if m, ok := req.(proto.Message); ok {
			Normalize(m)
			if err := Validate(v, m); err != nil {
				return nil, err
			}
		}
		return handle(ctx, req)
	}
}

// Validate validates a message against the rules in its proto. It returns a failure with all
// invalid fields.
func Validate(v protovalidate.Validator, m proto.Message) error {
	err := v.Validate(m)
	var invalid *protovalidate.ValidationError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &invalid):
		return fmt.Errorf("validate %s: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	f := failure.New(failure.Invalid, failure.ReasonInvalid, "")
	var messages []string
	for i, violation := range invalid.Violations {
		if i == maxViolations {
			messages = append(messages, fmt.Sprintf("and %d more", len(invalid.Violations)-i))
			break
		}
		field := failure.Field{
			Name:    protovalidate.FieldPathString(violation.Proto.GetField()),
			Message: violation.Proto.GetMessage(),
		}
		f.Fields = append(f.Fields, field)
		messages = append(messages, field.Name+" "+field.Message)
	}
	f.Message = strings.Join(messages, "; ")
	return f
}
