package rpcserver

import (
	"golang.org/x/text/unicode/norm"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// verbatim are the fields that are compared with what versions without Normalize have stored.
var verbatim = map[protoreflect.FullName]bool{
	"merchstore.v1.LoginRequest.username":              true,
	"merchstore.v1.LoginRequest.password":              true,
	"merchstore.v1.UpdateUserRequest.current_password": true,
}

// Normalize brings the texts of a message into Unicode's normalization form C, so that texts that
// look the same are the same, and have one length.
func Normalize(m proto.Message) { normalize(m.ProtoReflect()) }

func normalize(m protoreflect.Message) {
	m.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case field.IsMap() || verbatim[field.FullName()]:
		case field.IsList() && field.Message() != nil:
			for i := range v.List().Len() {
				normalize(v.List().Get(i).Message())
			}
		case field.IsList():
		case field.Message() != nil:
			normalize(v.Message())
		case field.Kind() == protoreflect.StringKind && !norm.NFC.IsNormalString(v.String()):
			m.Set(field, protoreflect.ValueOfString(norm.NFC.String(v.String())))
		}
		return true
	})
}
