<?php
// SPDX-License-Identifier: CC0-1.0
// Who a node is (docs/federation.md §2): keys, signatures, descriptors. Needs the sodium extension.
declare(strict_types=1);

/** What another node sent is not as the specification wants it. */
final class Refused extends RuntimeException {}

function check(bool $holds, string $otherwise): void
{
    $holds || throw new Refused($otherwise);
}

// A missing field of foreign JSON is a refusal too, not a warning.
set_error_handler(fn (int $no, string $what) => throw new Refused($what));

/** Keys in texts: base64url without padding. */
function text_of_key(string $key): string
{
    return sodium_bin2base64($key, SODIUM_BASE64_VARIANT_URLSAFE_NO_PADDING);
}

function key_of_text(string $text): string
{
    $key = sodium_base642bin($text, SODIUM_BASE64_VARIANT_URLSAFE_NO_PADDING);
    check(strlen($key) === 32 && text_of_key($key) === $text, "no key: $text");
    return $key;
}

function from_base64(string $text): string
{
    $bytes = base64_decode($text, true);
    check($bytes !== false && base64_encode($bytes) === $text, 'no standard base64');
    return $bytes;
}

function fingerprint(string $node): string
{
    return trim(chunk_split(bin2hex(substr(hash('sha256', $node, true), 0, 16)), 4, ' '));
}

/** libsodium is as strict as the specification: no small order, nothing that is not canonical. */
function signed(string $bytes, string $sig, string $key): bool
{
    return strlen($sig) === 64 && sodium_crypto_sign_verify_detached($sig, $bytes, $key);
}

/** Reads and verifies the text of a descriptor. */
function descriptor(string $text): array
{
    check(strlen($text) <= 65536, 'the descriptor is too long');
    $envelope = json_decode($text, true, 8, JSON_THROW_ON_ERROR);
    $payload = from_base64($envelope['payload']);
    $descriptor = json_decode($payload, true, 8, JSON_THROW_ON_ERROR);
    $sig = from_base64($envelope['sig']);
    check(signed("sm2tp-node-v1\n$payload", $sig, key_of_text($descriptor['node'])), 'the descriptor is not signed by its node');
    check($descriptor['seq'] <= 2 ** 53 - 1, 'seq is too high');
    return $descriptor;
}

function may_seal(array $descriptor, array $header): bool
{
    $key = text_of_key($header['log_key']);
    $then = fn (array $t) => $t['key'] === $key && $t['not_before'] <= $header['sealed_at'] && $header['sealed_at'] <= $t['not_after'];
    $late = fn (array $r) => $r['key'] === $key
        && [$r['after_epoch'], $r['after_segno']] < [$header['epoch'], $header['segno']];
    return !($descriptor['retired'] ?? false) && array_filter($descriptor['log_keys'], $then) !== []
        && array_filter($descriptor['revoked'] ?? [], $late) === [];
}
