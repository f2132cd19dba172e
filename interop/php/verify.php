<?php
// SPDX-License-Identifier: CC0-1.0
// Checks this implementation against interop/vectors.json, or segments of a node against its descriptor.
declare(strict_types=1);

require __DIR__ . '/keys.php';
require __DIR__ . '/tags.php';
require __DIR__ . '/segments.php';
require __DIR__ . '/asking.php';

/** Two values that must be the same. */
function same(string $what, mixed $found, mixed $wanted): void
{
    global $checked;
    $checked++;
    $shown = fn (mixed $value) => is_string($value) && preg_match('/[^ -~]/', $value) ? bin2hex($value) : json_encode($value);
    check($found === $wanted, "$what: {$shown($found)} instead of {$shown($wanted)}");
}

function refuses(string $what, callable $does): void
{
    try {
        $does();
    } catch (Refused | JsonException) {
        same($what, true, true);
        return;
    }
    throw new Refused("$what was taken");
}

function vectors(array $v): void
{
    $key = hex2bin($v['tags']['key']);
    same('key_id', bin2hex(key_id($key)), $v['tags']['key_id']);
    foreach ($v['tags']['addresses'] as $a) {
        same("normalised {$a['address']}", normalise($a['address']), $a['normalised']);
        same("tag of {$a['address']}", bin2hex(tag($key, $a['normalised'])), $a['tag']);
        same("{$a['address']} is published", is_token($a['normalised']), false);
    }
    foreach ($v['tags']['domains'] as $d) {
        same("tag of {$d['domain']}", bin2hex(tag($key, '@' . normalise_domain($d['domain']))), $d['tag']);
    }
    foreach ($v['tags']['no_tag'] as $a) {
        refuses("an address with {$a['why']}", fn () => normalise($a['address']));
    }
    foreach ($v['tags']['not_published'] as $address) {
        same("$address is a token", is_token(normalise($address)), true);
    }
    foreach ($v['keys'] as $name => $k) {
        $public = sodium_crypto_sign_publickey(sodium_crypto_sign_seed_keypair(hex2bin($k['seed'])));
        same("key $name", [bin2hex($public), text_of_key($public), key_of_text($k['text'])], [$k['public'], $k['text'], $public]);
    }
    foreach ($v['weak_keys'] as $weak) {
        refuses("a signature by {$weak['why']}", fn () => check(
            signed($weak['message'], hex2bin($weak['sig']), hex2bin($weak['key'])), 'forged'));
    }
    same('fingerprint', fingerprint(hex2bin($v['keys']['node']['public'])), $v['keys']['node']['fingerprint']);
    $descriptor = descriptor($v['descriptor']['text']);
    same('descriptor', $descriptor, json_decode($v['descriptor']['payload'], true));
    $changed = substr_replace($v['descriptor']['text'], 'AAAA', 200, 4);
    refuses('a descriptor that was changed', fn () => descriptor($changed));
    $secret = fn (string $name) => sodium_crypto_sign_secretkey(sodium_crypto_sign_seed_keypair(hex2bin($v['keys'][$name]['seed'])));
    segments($v, $descriptor);
    foreach ($v['requests'] as $r) {
        $fields = signature_fields($r, $secret('log'), $r['created'], $r['expires'], $r['nonce']);
        same("request {$r['name']}", [$fields['Signature-Input'], $fields['Signature'], $fields['Content-Digest'] ?? null],
            [$r['signature_input'], $r['signature'], $r['content_digest']]);
    }
    $grant = grant(hex2bin($v['tag_key_grant']['sealed_to_peer_log']), $secret('peer_log'));
    same('tag key', bin2hex(from_base64($grant['key'])), $v['tag_key_grant']['key']);
    refuses('a tag key for somebody else', fn () => grant(hex2bin($v['tag_key_grant']['sealed_to_peer_log']), $secret('log')));
}

function segments(array $v, array $descriptor): void
{
    foreach ($v['segments'] as $s) {
        $header = header_of(hex2bin($s['header']), $descriptor);
        same("header {$s['name']}", [$header['epoch'], $header['segno'], $header['first'], $header['count'], $header['sealed_at'],
            bin2hex($header['prev']), bin2hex($header['root']), bin2hex($header['hash']), bin2hex($header['key_id'])],
            [$s['epoch'], $s['segno'], $s['first_sequence'], $s['count'], $s['sealed_at'], $s['prev'], $s['root'], $s['hash'],
            $s['key_id']]);
        $body = hex2bin($s['body']);
        $events = array_values(records($header, $body));
        foreach ($v['records'][$s['name']] as $n => $r) {
            $e = $events[$n];
            same("record {$r['what']}", [$e['class'], $e['source'], $e['code'], [$e['enhanced1'], $e['enhanced2'], $e['enhanced3']],
                $e['hour'], $e['count'], $e['provider'], $e['weeks'], bin2hex($e['subject'])],
                [$r['class'], $r['source'], $r['smtp_code'], $r['enhanced'], $r['hour'], $r['count'], $r['provider'],
                $r['ttl_weeks'], $r['subject']]);
        }
        for ($at = 0; $at < 240; $at++) {
            $changed = hex2bin($s['header']);
            $changed[$at] = chr(ord($changed[$at]) ^ 1);
            refuses("header {$s['name']} with another octet $at", fn () => header_of($changed, $descriptor));
        }
        for ($at = 0; $at < strlen($body); $at++) {
            $changed = $body;
            $changed[$at] = chr(ord($changed[$at]) ^ 1);
            refuses("body {$s['name']} with another octet $at", fn () => records($header, $changed));
        }
        refuses("body {$s['name']} cut short", fn () => records($header, substr($body, 0, -1)));
    }
    $first = header_of(hex2bin($v['segments'][0]['header']), $descriptor);
    $left = array_keys(records($first, hex2bin($v['redaction']['body'])));
    same('redaction', $left, array_values(array_diff(range(0, $first['count'] - 1), $v['redaction']['indexes'])));
    [$one, $two] = array_map(fn ($octets) => header_of($octets, $descriptor), str_split(hex2bin($v['equivocation']['proof']), 240));
    same('equivocation', [$one['epoch'], $one['segno']], [$two['epoch'], $two['segno']]);
    same('the smaller bytes first', strcmp(...str_split(hex2bin($v['equivocation']['proof']), 240)) < 0, true);
}

/** Prints a line for each segment that is good, and ends at the first that is not. */
function files(string $descriptor, array $files): void
{
    foreach ($files as $file) {
        $segment = file_get_contents($file);
        $header = header_of(substr($segment, 0, 240), descriptor(file_get_contents($descriptor)));
        $events = count(records($header, substr($segment, 240)));
        echo "{$header['epoch']}.{$header['segno']} $events of {$header['count']} events, root ", bin2hex($header['root']), "\n";
    }
}

$checked = 0;
try {
    if (($argv[1] ?? '') === 'vectors' && $argc === 3) {
        vectors(json_decode(file_get_contents($argv[2]), true, 16, JSON_THROW_ON_ERROR));
        echo "$checked values are right\n";
    } elseif (($argv[1] ?? '') === 'segments' && $argc > 3) {
        files($argv[2], array_slice($argv, 3));
    } else {
        exit("vectors FILE | segments DESCRIPTOR FILE…\n");
    }
} catch (Refused | JsonException | TypeError $wrong) {
    fwrite(STDERR, $wrong->getMessage() . "\n");
    exit(1);
}
