package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// How long a certificate is valid: longer than any test cluster lives.
const validity = 365 * 24 * time.Hour

// Clocks of containers and virtual machines are sometimes behind.
const clockSkew = time.Hour

// authority signs what the components of one cluster know each other by.
type authority struct {
	folder      string
	server      string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// makeKeys writes every key, certificate and kubeconfig of one cluster into a folder. Arguments:
// the folder, the API server's URL, the node's name, and the addresses of the servers.
func makeKeys(arguments []string) error {
	if len(arguments) < 4 {
		return fmt.Errorf("usage: pki FOLDER SERVER-URL NODE ADDRESS...")
	}
	a, err := newAuthority(arguments[0], arguments[1])
	if err != nil {
		return err
	}
	node := arguments[2]
	var addresses []net.IP
	for _, text := range arguments[3:] {
		address := net.ParseIP(text)
		if address == nil {
			return fmt.Errorf("%q is not an IP address", text)
		}
		addresses = append(addresses, address)
	}
	names := []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
		"kubernetes.default.svc.cluster.local", node}
	for _, server := range []string{"etcd", "kube-apiserver", "kubelet-server"} {
		if err := a.issue(server, pkix.Name{CommonName: server}, names, addresses); err != nil {
			return err
		}
	}
	clients := []struct{ file, user, group string }{
		{"kube-apiserver-client", "kube-apiserver-client", "system:masters"},
		{"admin", "dbop-admin", "system:masters"},
		{"kube-controller-manager", "system:kube-controller-manager", ""},
		{"kube-scheduler", "system:kube-scheduler", ""},
		{"kube-proxy", "system:kube-proxy", ""},
		{"kubelet", "system:node:" + node, "system:nodes"},
	}
	for _, client := range clients {
		name := pkix.Name{CommonName: client.user}
		if client.group != "" {
			name.Organization = []string{client.group}
		}
		if err := a.issue(client.file, name, nil, nil); err != nil {
			return err
		}
		if err := a.kubeconfig(client.file); err != nil {
			return err
		}
	}
	return a.serviceAccountKeys()
}

func newAuthority(folder, server string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "database-operator test cluster"},
		NotBefore:             time.Now().Add(-clockSkew),
		NotAfter:              time.Now().Add(validity),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	encoded, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(encoded)
	if err != nil {
		return nil, err
	}
	a := &authority{folder, server, certificate, key}
	return a, a.write("ca", encoded, key)
}

// issue writes a key and its certificate, good for a server and a client.
func (a *authority) issue(file string, subject pkix.Name, names []string, addresses []net.IP) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      subject,
		NotBefore:    a.certificate.NotBefore,
		NotAfter:     a.certificate.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:     names,
		IPAddresses:  addresses,
	}
	encoded, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return err
	}
	return a.write(file, encoded, key)
}

func (a *authority) write(file string, certificate []byte, key *ecdsa.PrivateKey) error {
	encoded, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	if err := a.pem(file+".key", "EC PRIVATE KEY", encoded); err != nil {
		return err
	}
	return a.pem(file+".crt", "CERTIFICATE", certificate)
}

// serviceAccountKeys writes the pair that the tokens of service accounts are signed with.
func (a *authority) serviceAccountKeys() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	encoded, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	if err := a.pem("service-accounts.key", "EC PRIVATE KEY", encoded); err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	return a.pem("service-accounts.pub", "PUBLIC KEY", public)
}

// kubeconfig writes one that holds all it needs, so that it can be copied.
func (a *authority) kubeconfig(user string) error {
	data := func(file string) (string, error) {
		bytes, err := os.ReadFile(filepath.Join(a.folder, file))
		return base64.StdEncoding.EncodeToString(bytes), err
	}
	ca, err := data("ca.crt")
	if err != nil {
		return err
	}
	certificate, err := data(user + ".crt")
	if err != nil {
		return err
	}
	key, err := data(user + ".key")
	if err != nil {
		return err
	}
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: dbop-test
contexts: [{name: dbop-test, context: {cluster: dbop-test, user: %[2]s}}]
clusters: [{name: dbop-test, cluster: {server: %[1]q, certificate-authority-data: %[3]s}}]
users: [{name: %[2]s, user: {client-certificate-data: %[4]s, client-key-data: %[5]s}}]
`, a.server, user, ca, certificate, key)
	return os.WriteFile(filepath.Join(a.folder, user+".kubeconfig"), []byte(text), 0o600)
}

func (a *authority) pem(file, kind string, bytes []byte) error {
	encoded := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes})
	return os.WriteFile(filepath.Join(a.folder, file), encoded, 0o600)
}
