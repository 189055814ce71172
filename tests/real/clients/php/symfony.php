<?php
// Posts by Symfony's Slack bridge: `symfony.php DSN CALLS`. Each outcome is a line of JSON.
require '/usr/share/php/Symfony/Component/HttpClient/autoload.php';
require '/usr/share/php/Symfony/Component/Notifier/Bridge/Slack/autoload.php';

use Symfony\Component\HttpClient\HttpClient;
use Symfony\Component\Notifier\Bridge\Slack\SlackTransportFactory;
use Symfony\Component\Notifier\Message\ChatMessage;
use Symfony\Component\Notifier\Transport\Dsn;

[, $dsn, $calls] = $argv;
$transport = (new SlackTransportFactory(null, HttpClient::create()))->create(new Dsn($dsn));
for ($n = 0; $n < (int) $calls; ++$n) {
    try {
        $outcome = ['ok' => null !== $transport->send(new ChatMessage("message $n"))->getMessageId()];
    } catch (\Throwable $error) {
        $outcome = ['ok' => false, 'error' => ($error->getPrevious() ?? $error)->getMessage()];
    }
    echo json_encode($outcome), "\n";
}
