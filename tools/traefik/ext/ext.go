// Package ext stands for a module of traefik's repository that its module does not contain.
package ext

// HTTP has no fields in traefik itself.
type HTTP struct{}

// Router has no fields in traefik itself.
type Router struct{}
