<?php
// SPDX-License-Identifier: CC0-1.0
// Addresses as tags (docs/federation.md §3). Needs the intl extension for international ones.
declare(strict_types=1);

// A $subject is a normalised address, or "@domain" for a dead domain.

function tag(string $key, string $subject): string
{
    return substr(hash_hmac('sha256', "sm2tp-addr-v1\0$subject", $key, true), 0, 16);
}

function key_id(string $key): string
{
    return substr(hash('sha256', "sm2tp-keyid\0$key", true), 0, 8);
}

function normalise(string $address): string
{
    $address = trim($address, " \t\r\n");
    check(strlen($address) <= 254 && preg_match('/^\P{Cc}*$/Du', $address) === 1, 'too long, no UTF-8, or control characters');
    $at = strrpos($address, '@');
    check($at !== false && $at > 0 && $address[0] !== '@', 'no @, nothing before it, or a source route');
    $local = substr($address, 0, $at);
    $atom = "[a-zA-Z0-9!#$%&'*+\\-\\/=?^_`{|}~\\x80-\\xff]+"; // atext, and the octets of everything beyond ASCII
    $local = preg_replace("/^\"($atom(?:\\.$atom)*)\"$/D", '$1', $local);
    $local = strtolower(Normalizer::normalize($local, Normalizer::FORM_C)); // ASCII only, since PHP 8.2
    $normalised = $local . '@' . normalise_domain(substr($address, $at + 1));
    check(strlen($normalised) <= 254, 'too long');
    return $normalised;
}

function normalise_domain(string $domain): string
{
    $domain = preg_replace('/\.$/D', '', $domain);
    if (preg_match('/[^\x00-\x7f]/', $domain)) {
        $domain = str_replace("\u{1E9E}", 'ß', $domain); // as all tables since Unicode 15.1 say; Debian's may be older
        // ICU. What it says of hyphens does not count; characters that have no place in a host are found below.
        $flags = IDNA_NONTRANSITIONAL_TO_ASCII | IDNA_CHECK_BIDI | IDNA_CHECK_CONTEXTJ;
        idn_to_ascii($domain, $flags, INTL_IDNA_VARIANT_UTS46, $uts46);
        $hyphens = IDNA_ERROR_LEADING_HYPHEN | IDNA_ERROR_TRAILING_HYPHEN | IDNA_ERROR_HYPHEN_3_4;
        check(($uts46['errors'] & ~$hyphens) === 0, 'the domain has no A-label form');
        $domain = $uts46['result'];
    }
    $domain = strtolower($domain);
    $label = '[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?';
    check(strlen($domain) <= 253 && preg_match("/^$label(?:\\.$label)*$/D", $domain) === 1, 'no domain');
    return $domain;
}

/** Bounce tokens name a mail, not a mailbox: no event about them leaves a node. */
function is_token(string $normalised): bool
{
    $local = substr($normalised, 0, strrpos($normalised, '@'));
    $words = '/(?:^|[-+_.])(?:bounces?|returns?|verp|fbl)[-+_.]/';
    preg_match_all('/[0-9a-f]{20,}/', $local, $runs);
    $hex = array_filter($runs[0], fn (string $run) => preg_match('/[0-9]/', $run) === 1);
    return str_contains($local, '=') || preg_match('/^srs[01][=+-]/', $local) || preg_match($words, $local) || $hex !== [];
}
