<?php
// The local API of SM2TP (docs/local.md). As a program: php sm2tp_local.php SOCKET CALL, where CALL is JSON.

function sm2tp_ask(string $path, array $call): array
{
    $connection = @stream_socket_client("unix://$path", $code, $message, 5);
    if ($connection === false) {
        throw new RuntimeException($message, $code);
    }
    stream_set_timeout($connection, 5);
    fwrite($connection, json_encode($call, JSON_THROW_ON_ERROR) . "\n");
    $line = fgets($connection);
    fclose($connection);
    if ($line === false) {
        throw new RuntimeException("no answer");
    }
    return json_decode($line, true, 16, JSON_THROW_ON_ERROR);
}

/** True where the node does not answer: it must not stop your mail. */
function sm2tp_may_i(string $path, string $sender, string $recipient, array $more = []): bool
{
    try {
        $said = sm2tp_ask($path, ["may_i" => ["recipient" => $recipient, "sender" => $sender] + $more]);
        return !in_array($said["answer"], ["no", "later"], true);
    } catch (RuntimeException | JsonException) {
        return true;
    }
}

if (PHP_SAPI === "cli" && realpath($argv[0]) === __FILE__) {
    echo json_encode(sm2tp_ask($argv[1], json_decode($argv[2], true, 16, JSON_THROW_ON_ERROR))), "\n";
}
