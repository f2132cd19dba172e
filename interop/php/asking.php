<?php
// SPDX-License-Identifier: CC0-1.0
// How a node is asked (docs/federation.md §6): signed requests, bounded answers, tag keys in sealed boxes.
declare(strict_types=1);

/** The fields that sign a request: RFC 9421 in the profile. */
function signature_fields(array $request, string $secret, int $created, int $expires, string $nonce): array
{
    $covered = '"@method" "@authority" "@path" "@query"';
    $base = "\"@method\": {$request['method']}\n\"@authority\": {$request['authority']}\n"
        . "\"@path\": {$request['path']}\n\"@query\": ?{$request['query']}\n";
    $fields = [];
    if ($request['body'] !== '') {
        $fields['Content-Digest'] = 'sha-256=:' . base64_encode(hash('sha256', $request['body'], true)) . ':';
        $covered .= ' "content-digest"';
        $base .= "\"content-digest\": {$fields['Content-Digest']}\n";
    }
    $key = text_of_key(sodium_crypto_sign_publickey_from_secretkey($secret));
    $params = "($covered);created=$created;expires=$expires;nonce=\"$nonce\";alg=\"ed25519\";keyid=\"$key\";tag=\"sm2tp-v1\"";
    $fields['Signature-Input'] = "sig1=$params";
    $base .= "\"@signature-params\": $params";
    $fields['Signature'] = 'sig1=:' . base64_encode(sodium_crypto_sign_detached($base, $secret)) . ':';
    return $fields;
}

/** Asks a node: [status, answer, fields]. No redirect is followed, and nothing is read beyond $most octets. */
function ask(string $api, string $secret, string $method, string $path, string $body = '', int $most = 8_000_000): array
{
    $url = parse_url($api . $path);
    $authority = strtolower($url['host']) . (isset($url['port']) && $url['port'] !== 443 ? ":{$url['port']}" : '');
    $request = ['method' => $method, 'authority' => $authority, 'path' => $url['path'], 'query' => $url['query'] ?? '',
        'body' => $body];
    $now = time();
    $fields = signature_fields($request, $secret, $now, $now + 60, bin2hex(random_bytes(16)));
    $fields += ['Host' => $authority, 'Connection' => 'close', 'Content-Type' => 'application/json'];
    $lines = array_map(fn (string $name, string $value) => "$name: $value", array_keys($fields), $fields);
    $http = ['method' => $method, 'header' => $lines, 'content' => $body, 'follow_location' => 0, 'ignore_errors' => true,
        'timeout' => 30, 'protocol_version' => 1.1];
    $answer = file_get_contents($api . $path, false, stream_context_create(['http' => $http]), 0, $most + 1);
    check(strlen($answer) <= $most, 'the answer is too long');
    $named = [];
    foreach (array_slice($http_response_header, 1) as $line) {
        [$name, $value] = explode(':', $line, 2);
        $named[strtolower($name)] = trim($value);
    }
    return [(int) explode(' ', $http_response_header[0])[1], $answer, $named];
}

/** The same, as JSON; every answer but 200 is a refusal. */
function ask_json(string $api, string $secret, string $method, string $path, string $body = ''): array
{
    [$status, $answer] = ask($api, $secret, $method, $path, $body);
    check($status === 200, "$method $path: $status " . trim($answer));
    return json_decode($answer, true, 16, JSON_THROW_ON_ERROR);
}

/** Opens a tag key that was sealed to our log key, and verifies that its federation signed it. */
function grant(string $sealed, string $secret): array
{
    $public = sodium_crypto_sign_publickey_from_secretkey($secret);
    $box = sodium_crypto_box_keypair_from_secretkey_and_publickey(
        sodium_crypto_sign_ed25519_sk_to_curve25519($secret), sodium_crypto_sign_ed25519_pk_to_curve25519($public));
    $json = sodium_crypto_box_seal_open($sealed, $box);
    check(strlen($sealed) <= 4096 && $json !== false, 'the tag key was not sealed to us');
    $grant = json_decode($json, true, 4, JSON_THROW_ON_ERROR);
    $key = from_base64($grant['key']);
    $bytes = "sm2tp-tagkey-v1\n$key" . pack('JJ', $grant['not_before'], $grant['not_after']);
    check(strlen($key) === 32 && bin2hex(key_id($key)) === $grant['key_id'], 'key_id is not that of the key');
    check($grant['not_before'] < $grant['not_after'], 'the tag key has no time');
    check(signed($bytes, from_base64($grant['sig']), key_of_text($grant['federation'])), 'the federation did not sign it');
    return $grant;
}
