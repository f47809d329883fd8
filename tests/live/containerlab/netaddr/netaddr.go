// Package netaddr answers for inet.af/netaddr.
package netaddr

import (
	"errors"
	"net"
)

var errAbsent = errors.New("this build of containerlab has no net.ParseIP* template functions")

type (
	IP       struct{}
	IPPrefix struct{}
	IPRange  struct{}
)

func (p IPPrefix) Masked() IPPrefix  { return p }
func (p IPPrefix) IPNet() *net.IPNet { return &net.IPNet{} }

func ParseIP(string) (IP, error)             { return IP{}, errAbsent }
func ParseIPPrefix(string) (IPPrefix, error) { return IPPrefix{}, errAbsent }
func ParseIPRange(string) (IPRange, error)   { return IPRange{}, errAbsent }
