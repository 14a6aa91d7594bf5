package com.example;

import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.security.oauth2.jwt.JwtTypeValidator;

@Configuration
class AccessTokens {
    @Bean
    JwtTypeValidator type() {
        return new JwtTypeValidator("at+jwt"); // RFC 9068
    }
}
