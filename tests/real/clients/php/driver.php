<?php

// Drives Guzzle as the runner's lines on stdin ask for.
//
// The lines are those of ../python/driver.py; so are the answers. Every call is a POST of a form, and nothing but the
// time-out is set, where one is given. PHP has no threads: all calls are promises of one curl handle.

require_once 'GuzzleHttp/autoload.php';

use GuzzleHttp\Client;
use GuzzleHttp\Handler\CurlMultiHandler;
use GuzzleHttp\HandlerStack;
use GuzzleHttp\Promise\Utils;

$options = [];
foreach (array_chunk(array_slice($argv, 1), 2) as [$name, $value]) {
    $options[$name] = $value;
}

$multi = new CurlMultiHandler();
$settings = ['handler' => HandlerStack::create($multi), 'http_errors' => false];
if (isset($options['--timeout'])) {
    $settings['timeout'] = (float) $options['--timeout'];
}
$client = new Client($settings);

function say($line)
{
    fwrite(STDOUT, json_encode($line, JSON_UNESCAPED_SLASHES) . "\n");
}

function now_ms()
{
    return (int) round(microtime(true) * 1000);
}

function send($client, $options, $call)
{
    if ($call->method === 'webhook') {
        $origin = preg_replace('{/api/$}', '', $options['--base-url']);
        return $client->postAsync($origin . $call->args->path, ['json' => ['text' => $call->args->text]]);
    }
    $form = [];
    foreach ($call->args as $name => $value) {
        $form[$name] = is_string($value) ? $value : json_encode($value);
    }
    return $client->postAsync($options['--base-url'] . $call->method, [
        'headers' => ['Authorization' => 'Bearer ' . $options['--token']],
        'form_params' => $form,
    ]);
}

// Calls that wait for another one's answer, by its number; and how many are under way.
$waiting = [];
$answered = [];
$open = 0;

function start($call)
{
    global $client, $options, $waiting, $answered, $open;
    $start = now_ms();
    $open++;
    $done = function ($came) use ($call, $start) {
        global $waiting, $answered, $open;
        $open--;
        say(['id' => $call->id, 'method' => $call->method, 'args' => $call->args] + $came
            + ['start_ms' => $start, 'end_ms' => now_ms()]);
        $answered[$call->id] = true;
        foreach ($waiting[$call->id] ?? [] as $next) {
            start($next);
        }
        unset($waiting[$call->id]);
    };
    send($client, $options, $call)->then(
        function ($answer) use ($done) {
            $body = (string) $answer->getBody();
            $status = $answer->getStatusCode();
            $said = json_decode($body, true) ?? ['ok' => $status === 200];
            $done(['ok' => $said['ok'], 'error' => $said['error'] ?? null, 'status' => $status, 'kind' => null,
                'detail' => substr($body, 0, 200)]);
        },
        function ($error) use ($done) {
            $done(['ok' => false, 'error' => null, 'status' => null, 'kind' => get_class($error),
                'detail' => $error->getMessage()]);
        }
    );
}

say(['ready' => 'Guzzle ' . $client::MAJOR_VERSION . ', PHP ' . PHP_VERSION]);
stream_set_blocking(STDIN, false);
$ended = false;
$rest = '';
while (!$ended || $open > 0) {
    $rest .= (string) fread(STDIN, 65536);
    $ended = feof(STDIN);
    while (($end = strpos($rest, "\n")) !== false) {
        $call = json_decode(substr($rest, 0, $end));
        $rest = substr($rest, $end + 1);
        if (isset($call->after) && !isset($answered[$call->after])) {
            $waiting[$call->after][] = $call;
        } else {
            start($call);
        }
    }
    $multi->tick();
    Utils::queue()->run();
    usleep(5000);
}
