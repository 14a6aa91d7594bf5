// An API that verifies access tokens of sts offline, with go-oidc.
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
)

const audience = "https://deploy.example.com" // this API

var (
	errInvalid = errors.New("invalid_token")
	errScope   = errors.New("insufficient_scope")
)

type claims struct {
	Subject string `json:"sub"`
	ID      string `json:"jti"`
	Scope   string `json:"scope"`
}

// verify returns the claims of an access token that grants scope.
func verify(ctx context.Context, verifier *oidc.IDTokenVerifier, token, scope string) (claims, error) {
	var found claims
	// go-oidc is for ID tokens. It does not look at `typ`, which tells access tokens from them (RFC 9068).
	if typ(token) != "at+jwt" {
		return found, errInvalid
	}
	verified, err := verifier.Verify(ctx, token)
	if err != nil {
		log.Print(err)
		return found, errInvalid
	}
	if err := verified.Claims(&found); err != nil || found.Subject == "" || found.ID == "" {
		return found, errInvalid
	}
	if !slices.Contains(strings.Fields(found.Scope), scope) {
		return found, errScope
	}
	return found, nil
}

func typ(token string) string {
	var header struct {
		Type string `json:"typ"`
	}
	first, _, _ := strings.Cut(token, ".")
	if text, err := base64.RawURLEncoding.DecodeString(first); err == nil {
		_ = json.Unmarshal(text, &header)
	}
	return header.Type
}

func main() {
	issuer, port := or("STS_ISSUER", "https://sts.example.com"), or("PORT", "8081")
	provider, err := oidc.NewProvider(context.Background(), issuer)
	if err != nil {
		log.Fatal(err)
	}
	verifier := provider.Verifier(&oidc.Config{ClientID: audience, SupportedSigningAlgs: []string{"ES256"}})
	http.HandleFunc("POST /deployments", func(response http.ResponseWriter, request *http.Request) {
		scheme, token, _ := strings.Cut(request.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") {
			response.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(response, "no access token", http.StatusUnauthorized)
			return
		}
		found, err := verify(request.Context(), verifier, strings.TrimSpace(token), "deployments:create")
		if err != nil {
			response.Header().Set("WWW-Authenticate", `Bearer error="`+err.Error()+`"`)
			status := http.StatusUnauthorized
			if err == errScope {
				status = http.StatusForbidden
			}
			http.Error(response, err.Error(), status)
			return
		}
		response.Header().Set("Content-Type", "application/json")
		response.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(response).Encode(map[string]string{"account": found.Subject})
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+port, nil))
}

func or(variable, otherwise string) string {
	if value := os.Getenv(variable); value != "" {
		return value
	}
	return otherwise
}
