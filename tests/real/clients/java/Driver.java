// Drives an HTTP client of Java as the runner's lines on stdin ask for.
//
// The lines are those of ../python/driver.py; so are the answers. Every call is a POST of a form, and nothing but the
// time-out is set, where one is given. `webhook` posts its `text` as JSON.

import com.google.gson.Gson;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.BufferedReader;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.URL;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import okhttp3.OkHttpClient;

public class Driver {
    /** Sends a POST, and returns status and body. */
    interface Sender {
        Answer send(String url, Map<String, String> headers, byte[] body) throws Exception;
    }

    record Answer(int status, String body) {}

    static final Map<String, String> OPTIONS = new HashMap<>();

    /** Milliseconds, or null where the client keeps its own. */
    static Integer timeout() {
        String given = OPTIONS.get("--timeout");
        return given == null ? null : (int) (Double.parseDouble(given) * 1000);
    }

    // === Clients ===

    static Sender javaNetHttp() {
        HttpClient client = HttpClient.newHttpClient();
        return (url, headers, body) -> {
            HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(url));
            headers.forEach(request::header);
            if (timeout() != null) {
                request.timeout(Duration.ofMillis(timeout()));
            }
            HttpResponse<String> answer = client.send(
                request.POST(HttpRequest.BodyPublishers.ofByteArray(body)).build(), HttpResponse.BodyHandlers.ofString());
            return new Answer(answer.statusCode(), answer.body());
        };
    }

    static Sender urlConnection() {
        return (url, headers, body) -> {
            HttpURLConnection connection = (HttpURLConnection) new URL(url).openConnection();
            headers.forEach(connection::setRequestProperty);
            if (timeout() != null) {
                connection.setReadTimeout(timeout());
            }
            connection.setDoOutput(true);
            connection.getOutputStream().write(body);
            int status = connection.getResponseCode();
            try (InputStream said = status < 400 ? connection.getInputStream() : connection.getErrorStream()) {
                return new Answer(status, new String(said.readAllBytes(), StandardCharsets.UTF_8));
            }
        };
    }

    static Sender okHttp() {
        OkHttpClient.Builder builder = new OkHttpClient.Builder();
        if (timeout() != null) {
            builder.readTimeout(timeout(), TimeUnit.MILLISECONDS);
        }
        OkHttpClient client = builder.build();
        return (url, headers, body) -> {
            okhttp3.Request.Builder request = new okhttp3.Request.Builder().url(url);
            headers.forEach(request::header);
            request.post(okhttp3.RequestBody.create(okhttp3.MediaType.parse(headers.get("Content-Type")), body));
            try (okhttp3.Response answer = client.newCall(request.build()).execute()) {
                return new Answer(answer.code(), answer.body().string());
            }
        };
    }

    static Sender apache4() {
        var config = org.apache.http.client.config.RequestConfig.custom();
        if (timeout() != null) {
            config.setSocketTimeout(timeout());
        }
        // As many connections as there are threads.
        var client = org.apache.http.impl.client.HttpClients.custom().setDefaultRequestConfig(config.build())
            .setMaxConnTotal(1000).setMaxConnPerRoute(1000).build();
        return (url, headers, body) -> {
            var request = new org.apache.http.client.methods.HttpPost(url);
            headers.forEach(request::setHeader);
            request.setEntity(new org.apache.http.entity.ByteArrayEntity(body));
            try (var answer = client.execute(request)) {
                String said = org.apache.http.util.EntityUtils.toString(answer.getEntity());
                return new Answer(answer.getStatusLine().getStatusCode(), said);
            }
        };
    }

    static Sender apache5() {
        var config = org.apache.hc.client5.http.config.RequestConfig.custom();
        if (timeout() != null) {
            config.setResponseTimeout(timeout(), TimeUnit.MILLISECONDS);
        }
        var pool = org.apache.hc.client5.http.impl.io.PoolingHttpClientConnectionManagerBuilder.create()
            .setMaxConnTotal(1000).setMaxConnPerRoute(1000).build();
        // By itself it sends again after a 429, once, and after one that it understands to be a short one.
        var client = org.apache.hc.client5.http.impl.classic.HttpClients.custom().setConnectionManager(pool)
            .disableAutomaticRetries().setDefaultRequestConfig(config.build()).build();
        return (url, headers, body) -> {
            var request = new org.apache.hc.client5.http.classic.methods.HttpPost(url);
            headers.forEach(request::setHeader);
            request.setEntity(new org.apache.hc.core5.http.io.entity.ByteArrayEntity(body, null));
            return client.execute(request, answer -> new Answer(answer.getCode(),
                org.apache.hc.core5.http.io.entity.EntityUtils.toString(answer.getEntity())));
        };
    }

    // === Calls ===

    static Answer send(Sender sender, JsonObject call) throws Exception {
        String method = call.get("method").getAsString();
        JsonObject args = call.getAsJsonObject("args");
        Map<String, String> headers = new HashMap<>();
        if (method.equals("webhook")) {
            headers.put("Content-Type", "application/json");
            JsonObject message = new JsonObject();
            message.add("text", args.get("text"));
            String origin = OPTIONS.get("--base-url").replaceAll("/api/$", "");
            return sender.send(origin + args.get("path").getAsString(), headers, bytes(message.toString()));
        }
        headers.put("Content-Type", "application/x-www-form-urlencoded");
        headers.put("Authorization", "Bearer " + OPTIONS.get("--token"));
        StringBuilder form = new StringBuilder();
        for (Map.Entry<String, JsonElement> arg : args.entrySet()) {
            JsonElement value = arg.getValue();
            String text = value.isJsonPrimitive() ? value.getAsString() : value.toString();
            form.append(form.length() == 0 ? "" : "&").append(arg.getKey()).append('=')
                .append(URLEncoder.encode(text, StandardCharsets.UTF_8));
        }
        return sender.send(OPTIONS.get("--base-url") + method, headers, bytes(form.toString()));
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static void run(Sender sender, JsonObject call) {
        JsonObject came = new JsonObject();
        for (String name : new String[] {"id", "method", "args"}) {
            came.add(name, call.get(name));
        }
        came.addProperty("start_ms", System.currentTimeMillis());
        try {
            Answer answer = send(sender, call);
            came.addProperty("status", answer.status);
            came.addProperty("detail", answer.body);
            if (answer.body.startsWith("{")) {
                JsonObject said = JsonParser.parseString(answer.body).getAsJsonObject();
                came.add("ok", said.get("ok"));
                came.add("error", said.get("error"));
            } else {
                came.addProperty("ok", answer.status == 200);
            }
        } catch (Exception error) {
            came.addProperty("ok", false);
            came.addProperty("kind", error.getClass().getSimpleName());
            came.addProperty("detail", error.toString());
        }
        came.addProperty("end_ms", System.currentTimeMillis());
        say(came);
    }

    static String apache4Version() {
        var info = org.apache.http.util.VersionInfo.loadVersionInfo("org.apache.http.client", null);
        return "Apache HttpClient " + info.getRelease() + ", ";
    }

    static String apache5Version() {
        var info = org.apache.hc.core5.util.VersionInfo.loadVersionInfo("org.apache.hc.client5", null);
        return "Apache HttpClient " + info.getRelease() + ", ";
    }

    static void say(JsonObject line) {
        synchronized (Driver.class) {
            System.out.println(new Gson().toJson(line));
            System.out.flush();
        }
    }

    public static void main(String[] words) throws Exception {
        for (int n = 1; n + 1 < words.length; n += 2) {
            OPTIONS.put(words[n], words[n + 1]);
        }
        String version = "Java " + System.getProperty("java.version");
        Sender sender;
        switch (words[0]) {
            case "java-net-http" -> { sender = javaNetHttp(); version = "java.net.http, " + version; }
            case "url-connection" -> { sender = urlConnection(); version = "HttpURLConnection, " + version; }
            case "okhttp" -> { sender = okHttp(); version = okhttp3.internal.Version.userAgent() + ", " + version; }
            case "apache4" -> { sender = apache4(); version = apache4Version() + version; }
            case "apache5" -> { sender = apache5(); version = apache5Version() + version; }
            default -> throw new IllegalArgumentException(words[0]);
        }
        JsonObject ready = new JsonObject();
        ready.addProperty("ready", version);
        say(ready);

        Map<Integer, CompletableFuture<Void>> answered = new HashMap<>();
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = lines.readLine()) != null; ) {
            JsonObject call = JsonParser.parseString(line).getAsJsonObject();
            JsonElement after = call.get("after");
            var before = after == null || after.isJsonNull() ? null : answered.get(after.getAsInt());
            CompletableFuture<Void> done = new CompletableFuture<>();
            answered.put(call.get("id").getAsInt(), done);
            Thread thread = new Thread(() -> {
                if (before != null) {
                    before.join();
                }
                run(sender, call);
                done.complete(null);
            });
            thread.start();
        }
        answered.values().forEach(CompletableFuture::join);
        System.exit(0);
    }
}
