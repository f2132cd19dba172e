<?php
// SPDX-License-Identifier: CC0-1.0
// A node that only reads: asks for a peering, pulls what its peer has, looks addresses up. See interop/README.md.
declare(strict_types=1);

require __DIR__ . '/keys.php';
require __DIR__ . '/tags.php';
require __DIR__ . '/segments.php';
require __DIR__ . '/asking.php';

// A node is a folder: node.json, and a file for each segment.

function load(string $folder): array
{
    $node = json_decode(file_get_contents("$folder/node.json"), true);
    return $node + ['secret' => sodium_crypto_sign_secretkey(sodium_crypto_sign_seed_keypair(base64_decode($node['log_seed'])))];
}

function save(string $folder, array $node): void
{
    unset($node['secret']);
    file_put_contents("$folder/node.json", json_encode($node, JSON_PRETTY_PRINT));
}

/** §7: makes keys and asks the peer. Then two people compare the fingerprints by voice, and the other one accepts. */
function join_peer(string $folder, string $peer_api, string $own_api): void
{
    umask(0077);
    is_dir($folder) || mkdir($folder);
    [$node_keys, $log_keys] = [sodium_crypto_sign_keypair(), sodium_crypto_sign_keypair()];
    [$key, $log_key] = [sodium_crypto_sign_publickey($node_keys), sodium_crypto_sign_publickey($log_keys)];
    [$host, $now] = [parse_url($own_api)['host'], time()];
    $term = ['key' => text_of_key($log_key), 'not_before' => $now - 60, 'not_after' => $now + 400 * 86400];
    $payload = json_encode(['node' => text_of_key($key), 'seq' => $now, 'name' => $host, 'api' => $own_api,
        'contact' => "postmaster@$host", 'log_keys' => [$term], 'versions' => [1], 'tag_schemes' => [1],
        'retention_days' => 400], JSON_UNESCAPED_SLASHES);
    $sig = sodium_crypto_sign_detached("sm2tp-node-v1\n$payload", sodium_crypto_sign_secretkey($node_keys));
    $text = json_encode(['payload' => base64_encode($payload), 'sig' => base64_encode($sig)]);
    $secret = sodium_crypto_sign_secretkey($log_keys);
    $peer = descriptor(ask($peer_api, $secret, 'GET', '/node', '', 65536)[1])['node'];
    $wish = json_encode(['descriptor' => $text, 'note' => 'a node that only reads, in PHP']);
    $request = ask_json($peer_api, $secret, 'POST', '/peerings', $wish)['id'];
    // The node key would be kept offline: it is needed again only for the next descriptor.
    $seed = fn (string $secret) => base64_encode(substr($secret, 0, 32));
    save($folder, ['node_seed' => $seed(sodium_crypto_sign_secretkey($node_keys)), 'log_seed' => $seed($secret), 'api' => $peer_api,
        'peer' => $peer, 'request' => $request, 'tag_keys' => [], 'descriptors' => [], 'heads' => [], 'cursor' => null]);
    printf("ours   %s\ntheirs %s\n", fingerprint($key), fingerprint(key_of_text($peer)));
}

function pull(string $folder): void
{
    $node = load($folder);
    $answer = ask_json($node['api'], $node['secret'], 'GET', "/peerings/{$node['request']}");
    if ($answer['state'] !== 'accepted') {
        exit("the peer has not decided yet\n");
    }
    foreach ($answer['tagkeys'] as $sealed) {
        $grant = grant(from_base64($sealed), $node['secret']);
        $node['tag_keys'][$grant['key_id']] = $grant['key']; // whichever federation it is of: we only look up
    }
    learn($node, ask($node['api'], $node['secret'], 'GET', '/node', '', 65536)[1]);
    check(isset($node['descriptors'][$node['peer']]), 'another node answers there');
    $after = '';
    do {
        $page = ask_json($node['api'], $node['secret'], 'GET', "/nodes$after");
        foreach ($page['nodes'] as $text) {
            learn($node, $text);
        }
        $after = "?after={$page['cursor']}";
    } while ($page['nodes'] !== [] && $page['cursor'] !== null);
    $new = ['segments' => 0, 'events' => 0];
    while (pull_page($folder, $node, $new)) {
        save($folder, $node);
    }
    save($folder, $node);
    echo "{$new['segments']} segments with {$new['events']} events are new\n";
}

/** The highest seq wins. */
function learn(array &$node, string $text): void
{
    $new = descriptor($text);
    $known = $node['descriptors'][$new['node']] ?? null;
    if ($known === null || descriptor($known)['seq'] < $new['seq']) {
        $node['descriptors'][$new['node']] = $text;
    }
}

/** Reads one page of the feed. True where there may be another. */
function pull_page(string $folder, array &$node, array &$new): bool
{
    $after = $node['cursor'] === null ? '' : "after={$node['cursor']}&";
    [$status, $feed, $fields] = ask($node['api'], $node['secret'], 'GET', "/feed?{$after}limit=1000", '', 1_000_000);
    if ($status === 410 && $after !== '') {
        $node['cursor'] = null; // the peer restored a backup: its feed is a new one
        return true;
    }
    check($status === 200 && strlen($feed) % 248 === 0, "the feed: $status");
    $entries = $feed === '' ? [] : str_split($feed, 248);
    foreach ($entries as $entry) {
        try {
            $events = take($folder, $node, substr($entry, 8));
            $new['segments'] += (int) ($events !== null);
            $new['events'] += (int) $events;
        } catch (Refused | TypeError $error) {
            fwrite(STDERR, "left out: {$error->getMessage()}\n"); // one mad origin does not stop the others
        }
    }
    $node['cursor'] = $fields['sm2tp-cursor'];
    return count($entries) === 1000;
}

/** Takes a header of the feed: fetches its body and keeps both. Answers with its events, or null where it is known. */
function take(string $folder, array &$node, string $octets): ?int
{
    $origin = text_of_key(substr($octets, 8, 32));
    check(isset($node['descriptors'][$origin]), "no descriptor of $origin");
    $header = header_of($octets, descriptor($node['descriptors'][$origin]));
    $file = "$folder/$origin-{$header['epoch']}-{$header['segno']}.seg";
    if (is_file($file)) {
        check(substr(file_get_contents($file), 0, 240) === $octets, "$origin signed two segments for one place");
        return null;
    }
    check($header['sealed_at'] <= time() + 600, 'it is sealed in the future');
    check(follows($header, $node['heads'][$origin] ?? null), "it is not the next one of $origin");
    [$status, $segment] = ask($node['api'], $node['secret'], 'GET', "/log/$origin/{$header['epoch']}/{$header['segno']}");
    check($status === 200 && substr($segment, 0, 240) === $octets, "its body: $status");
    $events = records($header, substr($segment, 240));
    file_put_contents($file, $segment);
    $node['heads'][$origin] = ['epoch' => $header['epoch'], 'segno' => $header['segno'], 'hash' => bin2hex($header['hash']),
        'next' => $header['first'] + $header['count']];
    return count($events);
}

/** §5, the chain. Of an origin that we do not know yet, the beginning may be pruned. */
function follows(array $header, ?array $head): bool
{
    if ($head !== null && $head['epoch'] === $header['epoch']) {
        return $header['segno'] === $head['segno'] + 1 && bin2hex($header['prev']) === $head['hash']
            && $header['first'] === $head['next'];
    }
    $begins = $header['segno'] === 0 && $header['prev'] === str_repeat("\0", 32);
    return $head === null ? $begins || $header['segno'] > 0 : $head['epoch'] < $header['epoch'] && $begins;
}

/** The last word of each origin about an address and about its domain (§8.5). What to believe of it is §8. */
function look(string $folder, string $address): void
{
    $node = load($folder);
    $normalised = normalise($address);
    $subjects = [$normalised, strrchr($normalised, '@')];
    $last = [];
    foreach (glob("$folder/*.seg") as $file) {
        $segment = file_get_contents($file);
        $descriptor = descriptor($node['descriptors'][text_of_key(substr($segment, 8, 32))]);
        $header = header_of(substr($segment, 0, 240), $descriptor);
        $key = $node['tag_keys'][bin2hex($header['key_id'])] ?? null;
        $tags = $key === null ? [] : array_map(fn (string $subject) => tag(base64_decode($key), $subject), $subjects);
        foreach (records($header, substr($segment, 240)) as $sequence => $event) {
            if (in_array($event['class'], TAGGED, true) && in_array($event['subject'], $tags, true)) {
                $order = sprintf('%s %010d %020d', $descriptor['node'], $header['epoch'], $sequence);
                $last[$descriptor['node'] . $event['subject']][$order] = [$descriptor['name'], $event];
            }
        }
    }
    foreach ($last as $events) {
        ksort($events);
        [$name, $event] = end($events);
        $enhanced = "{$event['enhanced1']}.{$event['enhanced2']}.{$event['enhanced3']}";
        $lines[] = sprintf("%s %s %d %s %s\n", CLASSES[$event['class']], gmdate('Y-m-d\TH:00\Z', $event['hour'] * 3600),
            $event['code'], $enhanced, $name);
    }
    isset($lines) ? sort($lines) : $lines = ["nobody says anything\n"];
    echo implode('', $lines);
}

try {
    match ([$argv[1] ?? '', $argc]) {
        ['join', 5] => join_peer($argv[2], $argv[3], $argv[4]),
        ['pull', 3] => pull($argv[2]),
        ['look', 4] => look($argv[2], $argv[3]),
        default => throw new Refused('join FOLDER PEER-API OWN-API | pull FOLDER | look FOLDER ADDRESS'),
    };
} catch (Refused | JsonException $why) {
    fwrite(STDERR, $why->getMessage() . "\n");
    exit(1);
}
