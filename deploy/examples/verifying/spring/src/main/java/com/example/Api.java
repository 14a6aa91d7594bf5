package com.example;

import java.util.Map;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;
import org.springframework.http.HttpStatus;
import org.springframework.security.config.Customizer;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.core.annotation.AuthenticationPrincipal;
import org.springframework.security.oauth2.jwt.Jwt;
import org.springframework.security.web.SecurityFilterChain;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.ResponseStatus;
import org.springframework.web.bind.annotation.RestController;

/** An API that verifies access tokens of sts offline, with Spring Security. */
@RestController
@SpringBootApplication
public class Api {
    public static void main(String[] arguments) {
        SpringApplication.run(Api.class, arguments);
    }

    @Bean
    SecurityFilterChain security(HttpSecurity http) throws Exception {
        return http.csrf(csrf -> csrf.disable()) // there are no cookies
            .oauth2ResourceServer(server -> server.jwt(Customizer.withDefaults()))
            .authorizeHttpRequests(requests -> requests.anyRequest().hasAuthority("SCOPE_deployments:create"))
            .build();
    }

    @PostMapping("/deployments")
    @ResponseStatus(HttpStatus.CREATED)
    Map<String, String> deploy(@AuthenticationPrincipal Jwt token) {
        return Map.of("account", token.getSubject());
    }
}
