# frozen_string_literal: true

# Drives an HTTP client of Ruby, or the notifier for webhooks, as the runner's lines on stdin ask for.
#
# The lines are those of ../python/driver.py; so are the answers. Every call is a POST of a form, and nothing but the
# time-out is set, where one is given. `webhook` posts its `text`.

require 'json'
require 'net/http'
require 'optparse'

client = ARGV.shift
options = {}
OptionParser.new do |parser|
  parser.on('--base-url URL') { |value| options[:base_url] = value }
  parser.on('--token TOKEN') { |value| options[:token] = value }
  parser.on('--timeout SECONDS', Float) { |value| options[:timeout] = value }
end.parse!

# Each takes URL, headers and body, and returns status and body.
SENDERS = {
  'ruby-net-http' => lambda do |url, headers, body|
    http = Net::HTTP.new(url.host, url.port)
    http.read_timeout = options[:timeout] if options[:timeout]
    answer = http.start { http.post(url.path, body, headers) }
    [answer.code.to_i, answer.body]
  end,
  'faraday' => lambda do |url, headers, body|
    answer = FARADAY.post(url, body, headers)
    [answer.status, answer.body]
  end,
  'slack-notifier' => lambda do |url, _headers, body|
    more = options[:timeout] ? { http_options: { read_timeout: options[:timeout] } } : {}
    answer = Slack::Notifier.new(url.to_s, more).ping(JSON.parse(body)['text'])
    [answer.code.to_i, answer.body]
  end
}.freeze

def request(options, call)
  args = call['args']
  if call['method'] == 'webhook'
    url = options[:base_url].delete_suffix('/api/') + args['path']
    return [URI(url), { 'Content-Type' => 'application/json' }, JSON.generate({ text: args['text'] })]
  end
  form = args.transform_values { |value| value.is_a?(String) ? value : JSON.generate(value) }
  headers = { 'Authorization' => "Bearer #{options[:token]}", 'Content-Type' => 'application/x-www-form-urlencoded' }
  [URI(options[:base_url] + call['method']), headers, URI.encode_www_form(form)]
end

def outcome(status, body)
  said = body.start_with?('{') ? JSON.parse(body) : { 'ok' => status == 200 }
  { ok: said['ok'], error: said['error'], status: status, kind: nil, detail: body[0, 200] }
end

def now_ms
  (Process.clock_gettime(Process::CLOCK_REALTIME) * 1000).round
end

writing = Mutex.new
say = lambda do |line|
  writing.synchronize do
    $stdout.puts(JSON.generate(line))
    $stdout.flush
  end
end

version = { 'ruby-net-http' => 'Net::HTTP', 'faraday' => 'Faraday', 'slack-notifier' => 'slack-notifier' }.fetch(client)
gem = { 'faraday' => 'faraday', 'slack-notifier' => 'slack-notifier' }[client]
version += " #{Gem.loaded_specs[gem]&.version || Gem::Specification.find_by_name(gem).version}" if gem
require gem if gem
FARADAY = Faraday.new(options[:timeout] ? { request: { timeout: options[:timeout] } } : {}) if gem == 'faraday'
say.call({ ready: "#{version}, Ruby #{RUBY_VERSION}" })

threads = {}
$stdin.each_line do |line|
  call = JSON.parse(line)
  before = threads[call['after']]
  threads[call['id']] = Thread.new do
    before&.join
    start = now_ms
    came = begin
      outcome(*SENDERS.fetch(client).call(*request(options, call)))
    rescue StandardError => e
      { ok: false, error: nil, status: nil, kind: e.class.name, detail: e.message }
    end
    say.call(call.slice('id', 'method', 'args').merge(came, { start_ms: start, end_ms: now_ms }))
  end
end
threads.each_value(&:join)
