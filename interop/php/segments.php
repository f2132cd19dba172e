<?php
// SPDX-License-Identifier: CC0-1.0
// Segments and the events in them (docs/federation.md §4 and §5).
declare(strict_types=1);

const CLASSES = [1 => 'HARD', 'SOFT', 'REFUSED', 'COMPLAINT', 'DOMAIN_DEAD', 'RETRACT', 'ERASE', 'CONTRADICT'];
const TAGGED = [1, 2, 5, 6, 8]; // the classes whose subject is a tag

/** Reads a header and verifies it with the descriptor of its origin. */
function header_of(string $octets, array $descriptor): array
{
    check(strlen($octets) === 240 && str_starts_with($octets, 'SM2S'), 'no header');
    $header = unpack('a4magic/Cversion/Crecord_octets/Ctag_scheme/Cflags/a32origin/a32log_key/Nepoch/Nsegno/Jfirst/Ncount/'
        . 'Nzero/Jsealed_at/a8key_id/a32prev/a32root/a64sig', $octets);
    $header['hash'] = hash('sha256', $octets, true);
    check($header['record_octets'] > 0 && $header['count'] >= 1 && $header['count'] <= 4096, 'no record, or too many');
    // J is signed in PHP. Numbers from 2⁶³ on are allowed by the specification, and nobody comes to them.
    check($header['first'] >= 0 && $header['sealed_at'] >= 0, 'a number is too large');
    check(text_of_key($header['origin']) === $descriptor['node'], 'it is of another origin');
    check(may_seal($descriptor, $header), 'that log key could not seal this');
    check(signed("sm2tp-segment-v1\n" . substr($octets, 0, 176), $header['sig'], $header['log_key']), 'the signature is wrong');
    $header['readable'] = $header['version'] === 1 && $header['tag_scheme'] === 1;
    check($header['version'] !== 1 || $header['record_octets'] === 32 && $header['flags'] === 0 && $header['zero'] === 0,
        'no header of version 1');
    return $header;
}

/** The records that are left in a body, each under its sequence number. A body that cannot be read has none. */
function records(array $header, string $body): array
{
    check(strlen($body) >= 2, 'the body is cut short');
    $n = unpack('n', $body)[1];
    $length = 2 + $n * 34 + ($header['count'] - $n) * $header['record_octets'];
    check($n <= $header['count'] && strlen($body) === $length, 'the body has a wrong length');
    $redacted = $n > 0 ? array_values(unpack("n$n", $body, 2)) : [];
    [$at, $next, $leaves, $records] = [2 + 2 * $n, 0, [], []];
    for ($index = 0; $index < $header['count']; $index++) {
        $is_redacted = $next < $n && $redacted[$next] === $index;
        $octets = $is_redacted ? 32 : $header['record_octets'];
        $entry = substr($body, $at, $octets);
        [$at, $next] = [$at + $octets, $next + (int) $is_redacted];
        $leaves[] = $is_redacted ? $entry : hash('sha256', "\0$entry", true);
        $is_redacted || $records[$header['first'] + $index] = $entry;
    }
    check($next === $n, 'the redacted indexes are not ascending, or too high');
    check(root($leaves) === $header['root'], 'the body is not that of its header');
    return $header['readable'] ? array_map(fn (string $record) => event($record, $header['sealed_at']), $records) : [];
}

/** RFC 6962, with an odd last node moving up. */
function root(array $hashes): string
{
    while (count($hashes) > 1) {
        $pairs = array_chunk($hashes, 2);
        $hashes = array_map(fn (array $pair) => isset($pair[1]) ? hash('sha256', "\1$pair[0]$pair[1]", true) : $pair[0], $pairs);
    }
    return $hashes[0];
}

/** §4. Hours are judged by when the segment was sealed, and those of unknown classes not at all. */
function event(string $record, int $sealed_at): array
{
    $event = unpack('Cclass/Csource/ncode/Cenhanced1/Cenhanced2/nenhanced3/Nhour/ncount/Cprovider/Cweeks/a16subject', $record);
    $age_s = $sealed_at - $event['hour'] * 3600;
    check(!isset(CLASSES[$event['class']]) || $age_s >= 0 && $age_s <= 34_560_000, 'an event is too old or not yet');
    return $event;
}
