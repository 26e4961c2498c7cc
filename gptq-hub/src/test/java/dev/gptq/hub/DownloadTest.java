package dev.gptq.hub;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.hub.HubException.Reason;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.stream.Stream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Downloads from a server that behaves like the hub, well and badly. */
final class DownloadTest {
  private static final Tuning SMALL =
      new Tuning(1 << 16, 4, 3, Duration.ofMillis(1), Duration.ofMillis(50));

  @TempDir private Path home;
  private final Map<String, String> environment = new HashMap<>();
  private final Recorder recorder = new Recorder();
  private final byte[] weights = random(1_000_001, 1);
  private final byte[] more = random(70_000, 2);
  private FakeHub hub;
  private FakeRepo repo;

  @BeforeEach
  void start() throws IOException {
    hub = new FakeHub();
    environment.put("HF_ENDPOINT", hub.endpoint().toString());
    environment.put("HF_HOME", home.resolve("hf").toString());
    repo =
        hub.model("org/model")
            .file("config.json", "{\"model_type\": \"llama\"}")
            .file("tokenizer.json", "{}")
            .file("README.md", "A model")
            .file("LICENSE", "yes")
            .file("pytorch_model.bin.index.json", "{}")
            .large("pytorch_model.bin", random(10, 3))
            .large("model.Q4_K_M.gguf", random(10, 4))
            .large("onnx/model.onnx", random(10, 5))
            .file("onnx/config.json", "{}")
            .file("additional_chat_templates/tool.jinja", "{{ x }}")
            .large("model-1.safetensors", weights)
            .large("model-2.safetensors", more)
            .large("consolidated.safetensors", random(10, 6))
            .file(
                "model.safetensors.index.json",
                "{\"weight_map\": {\"a\": \"model-1.safetensors\", \"b\": \"model-2.safetensors\"}}");
  }

  @AfterEach
  void stop() {
    hub.close();
  }

  static byte[] random(int size, long seed) {
    byte[] bytes = new byte[size];
    new SplittableRandom(seed).nextBytes(bytes);
    return bytes;
  }

  private Path download(String name) throws IOException {
    return download(name, FileSelection.model());
  }

  private Path download(String name, FileSelection selection) throws IOException {
    HubReference reference = HubReference.parse(name, RepoKind.MODEL);
    try (Hub client = new Hub(HubSettings.of(environment, home), SMALL)) {
      return client.download(client.plan(reference, selection, recorder), recorder);
    }
  }

  private Path cache() {
    return home.resolve("hf/hub/models--org--model");
  }

  private static List<String> names(Path folder) throws IOException {
    try (Stream<Path> files = Files.walk(folder)) {
      return files
          .filter(Files::isRegularFile)
          .map(f -> folder.relativize(f).toString().replace('\\', '/'))
          .sorted()
          .toList();
    }
  }

  private static void assertFails(ThrowingCallable call, Reason reason, String... words) {
    assertThatThrownBy(call)
        .isInstanceOfSatisfying(
            HubException.class, e -> assertThat(e.reason()).as(e.getMessage()).isEqualTo(reason))
        .message()
        .contains(words.length == 0 ? new String[] {""} : words);
  }

  @Test
  void bringsWhatAModelNeedsIntoTheStandardLayout() throws IOException {
    Path snapshot = download("org/model");
    assertThat(snapshot).isEqualTo(cache().resolve("snapshots").resolve(repo.commit));
    assertThat(names(snapshot))
        .containsExactly(
            "LICENSE",
            "README.md",
            "additional_chat_templates/tool.jinja",
            "config.json",
            "model-1.safetensors",
            "model-2.safetensors",
            "model.safetensors.index.json",
            "tokenizer.json");
    assertThat(snapshot.resolve("model-1.safetensors")).hasBinaryContent(weights);
    assertThat(Files.readSymbolicLink(snapshot.resolve("model-1.safetensors")))
        .isEqualTo(Path.of("../../blobs", FakeRepo.sha256(weights)));
    assertThat(Files.readSymbolicLink(snapshot.resolve("additional_chat_templates/tool.jinja")))
        .isEqualTo(Path.of("../../../blobs", FakeRepo.git("{{ x }}".getBytes(UTF_8))));
    assertThat(cache().resolve("refs/main")).hasContent(repo.commit);
    assertThat(names(cache().resolve("blobs"))).allMatch(n -> n.matches("[0-9a-f]+"));
    assertThat(home.resolve("hf/hub/.locks/models--org--model")).isDirectory();
  }

  @Test
  void loadsPartsSideBySideFromWhereTheHubSends() throws IOException {
    download("org/model");
    assertThat(ranges().stream().distinct())
        .contains("1 bytes=0-65535", "1 bytes=983040-1000000", "2 bytes=65536-69999")
        .hasSize(16 + 2);
    assertThat(hub.hubRequests.stream().filter(r -> r.path().contains("model-1.safetensors")))
        .as("the signed address is used again")
        .hasSizeLessThanOrEqualTo(SMALL.connections());
  }

  @Test
  void whatIsThereIsNotLoadedAgain() throws IOException {
    download("org/model");
    hub.hubRequests.clear();
    hub.storageRequests.clear();
    download("org/model");
    assertThat(hub.storageRequests).isEmpty();
    assertThat(hub.hubRequests).noneMatch(r -> r.path().contains("/resolve/"));
    repo.file("config.json", "{\"model_type\": \"qwen2\"}");
    Path snapshot = download("org/model");
    assertThat(hub.storageRequests).isEmpty();
    assertThat(snapshot.resolve("config.json")).hasContent("{\"model_type\": \"qwen2\"}");
    assertThat(snapshot.resolve("model-1.safetensors")).hasBinaryContent(weights);
    assertThat(cache().resolve("refs/main")).hasContent(repo.commit);
  }

  @Test
  void theTokenGoesToTheHubAndNowhereElse() throws IOException {
    repo.isPrivate = true;
    environment.put("HF_TOKEN", FakeHub.TOKEN);
    download("org/model");
    assertThat(hub.hubRequests)
        .allSatisfy(r ->
            assertThat(r.headers().getFirst("Authorization")).isEqualTo("Bearer " + FakeHub.TOKEN));
    assertThat(hub.storageRequests)
        .isNotEmpty()
        .noneMatch(r -> r.headers().containsKey("Authorization"));
  }

  @Test
  void theTokenOfTheFileIsTaken() throws IOException {
    repo.isPrivate = true;
    Files.createDirectories(home.resolve("hf"));
    Files.writeString(home.resolve("hf/token"), FakeHub.TOKEN + "\n");
    assertThat(download("org/model")).isDirectory();
  }

  @Test
  void aPinnedCommitIsNotAskedFor() throws IOException {
    String old = repo.commit;
    repo.file("config.json", "{}");
    Path snapshot = download("hf:org/model@" + old, FileSelection.matching(List.of("config.json")));
    assertThat(snapshot.resolve("config.json")).hasContent("{\"model_type\": \"llama\"}");
    assertThat(hub.hubRequests).noneMatch(r -> r.path().contains("/revision/"));
    assertThat(cache().resolve("refs")).doesNotExist();
  }

  @Test
  void otherFilesComeWhenAskedFor() throws IOException {
    Path snapshot = download("org/model", FileSelection.matching(List.of("*.gguf", "onnx/**")));
    assertThat(names(snapshot))
        .containsExactly("model.Q4_K_M.gguf", "onnx/config.json", "onnx/model.onnx");
    assertFails(
        () -> download("org/model", FileSelection.matching(List.of("*.gguf", "*.zip"))),
        Reason.NOT_FOUND,
        "*.zip",
        "LICENSE");
  }

  @Test
  void dataSetsLieBesideModels() throws IOException {
    hub.dataset("org/texts").file("train.jsonl", "{\"text\": \"a\"}\n");
    Path snapshot = download("datasets/org/texts", FileSelection.matching(List.of("train.jsonl")));
    assertThat(snapshot.resolve("train.jsonl")).hasContent("{\"text\": \"a\"}\n");
    assertThat(snapshot).startsWith(home.resolve("hf/hub/datasets--org--texts"));
  }

  @Test
  void goesOnWhereConnectionsWereCut() throws IOException {
    hub.cutAfter = 20_000;
    Path snapshot = download("org/model");
    assertThat(snapshot.resolve("model-1.safetensors")).hasBinaryContent(weights);
    assertThat(hub.storageRequests)
        .anyMatch(r -> "bytes=20000-65535".equals(r.headers().getFirst("Range")));
    assertThat(recorder.notes).anyMatch(n -> n.contains("trying again"));
  }

  @Test
  void anotherProcessGoesOnWhereOneStopped() throws IOException {
    hub.cutAfter = 30_000;
    hub.gatedAfter = 12;
    assertFails(() -> download("org/model"), Reason.GATED, "accept its terms");
    assertThat(cache().resolve("blobs/" + FakeRepo.sha256(weights) + ".gptq.incomplete")).exists();
    assertThat(cache().resolve("refs/main")).doesNotExist();
    List<String> first = ranges();
    hub.storageRequests.clear();
    repo.gated = false;
    hub.gatedAfter = Integer.MAX_VALUE;
    hub.cutAfter = 0;
    Path snapshot = download("org/model");
    assertThat(snapshot.resolve("model-1.safetensors")).hasBinaryContent(weights);
    // Where a part stopped depends on how often it was begun again before the terms were asked for.
    assertThat(ranges()).as("from the middle of parts").anyMatch(r -> first(r) % 65_536 != 0);
    assertThat(ranges()).as("none whole that had begun").doesNotContain("1 bytes=0-65535");
    assertThat(first).contains("1 bytes=0-65535");
  }

  /** The first byte of a range such as {@code 1 bytes=30000-65535}. */
  private static int first(String range) {
    return Integer.parseInt(range.substring(range.indexOf('=') + 1, range.indexOf('-')));
  }

  private List<String> ranges() {
    return hub.storageRequests.stream()
        .map(r ->
            (r.path().contains(FakeRepo.sha256(weights)) ? "1 " : "2 ")
                + r.headers().getFirst("Range"))
        .toList();
  }

  @Test
  void expiredAddressesAreRenewed() throws IOException {
    hub.signatureLasts = 2;
    assertThat(download("org/model").resolve("model-1.safetensors")).hasBinaryContent(weights);
  }

  @Test
  void serversThatHeedNoRangesWork() throws IOException {
    hub.heedsRanges = false;
    assertThat(download("org/model").resolve("model-1.safetensors")).hasBinaryContent(weights);
    assertThat(recorder.notes).anyMatch(n -> n.contains("heeds no ranges"));
  }

  @ParameterizedTest
  @ValueSource(ints = {408, 429, 500, 502, 503, 504})
  void passingFailuresAreTriedAgain(int status) throws IOException {
    hub.failures.addAll(List.of(status, status));
    hub.failureHeaders.put("Retry-After", "0");
    assertThat(download("org/model")).isDirectory();
    assertThat(recorder.notes).anyMatch(n -> n.contains("it answers " + status));
  }

  @Test
  void aPauseThatTheServerAsksForIsKeptUpToALimit() throws IOException {
    hub.failures.add(429);
    hub.failureHeaders.put("RateLimit", "\"api\";r=0;t=1000");
    long start = System.nanoTime();
    download("org/model");
    assertThat(System.nanoTime() - start).isGreaterThan(SMALL.longestPause().toNanos());
  }

  @Test
  void lastingFailuresAreReported() {
    hub.failures.addAll(List.of(503, 503, 503));
    assertFails(() -> download("org/model"), Reason.UNREACHABLE, "503", "try again later");
    hub.failures.addAll(List.of(429, 429, 429));
    assertFails(() -> download("org/model"), Reason.UNREACHABLE, "429", "HF_TOKEN");
    hub.failures.add(418);
    assertFails(() -> download("org/model"), Reason.DAMAGED, "418", "HF_ENDPOINT");
    hub.failures.add(403);
    assertFails(() -> download("org/model"), Reason.UNAUTHORIZED, "settings/tokens");
  }

  @Test
  void bodiesThatStandStillAreGivenUp() {
    hub.stalls = true;
    environment.put("HF_HUB_DOWNLOAD_TIMEOUT", "1");
    assertFails(
        () -> download("org/model", FileSelection.matching(List.of("config.json"))),
        Reason.UNREACHABLE,
        "no answer in time");
  }

  @Test
  void gatedModelsAreExplained() {
    repo.gated = true;
    assertFails(
        () -> download("org/model"),
        Reason.GATED,
        hub.endpoint() + "/org/model",
        "accept its terms",
        "HF_TOKEN",
        "/settings/tokens");
    environment.put("HF_TOKEN", FakeHub.TOKEN);
    assertFails(
        () -> download("org/model"), Reason.GATED, "until its owner lets in", "token of HF_TOKEN");
  }

  @Test
  void whatIsNotThereIsExplained() {
    assertFails(
        () -> download("org/nothing"),
        Reason.UNAUTHORIZED,
        "org/nothing does not exist",
        "HF_TOKEN");
    assertFails(
        () -> download("org/model@v9"), Reason.NOT_FOUND, "org/model@v9", "no such revision");
    environment.put("HF_TOKEN", FakeHub.TOKEN);
    assertFails(() -> download("org/nothing"), Reason.NOT_FOUND, "org/nothing", "may not see it");
    environment.put("HF_TOKEN", "hf_wrong");
    assertFails(() -> download("org/model"), Reason.UNAUTHORIZED, "does not take", "HF_TOKEN");
  }

  @Test
  void messagesHideTheToken() {
    environment.put("HF_TOKEN", "hf_wrong");
    assertThatThrownBy(() -> download("org/model")).hasMessageNotContaining("hf_wrong");
  }

  @Test
  void modelsWithoutSafetensorsAreExplained() {
    hub.model("org/gguf").file("config.json", "{}").large("a.gguf", more);
    assertFails(() -> download("org/gguf"), Reason.NOT_FOUND, "model.safetensors", "GGUF");
    hub.model("org/old").file("config.json", "{}").large("pytorch_model.bin", more);
    assertFails(() -> download("org/old"), Reason.NOT_FOUND, "PyTorch");
    hub.model("org/adapter").large("adapter_model.safetensors", more);
    assertFails(() -> download("org/adapter"), Reason.NOT_FOUND, "config.json");
    repo.file("model.safetensors.index.json", "{\"weight_map\": {\"a\": \"gone.safetensors\"}}");
    assertFails(() -> download("org/model"), Reason.DAMAGED, "gone.safetensors");
  }

  @Test
  void bytesWithAnotherDigestAreDeleted() throws IOException {
    byte[] other = weights.clone();
    other[500_000] ^= 1;
    hub.tampered.put("model-1.safetensors", other);
    assertFails(
        () -> download("org/model"), Reason.DAMAGED, "model-1.safetensors", "digest", "deleted");
    assertThat(names(cache().resolve("blobs")))
        .noneMatch(n -> n.startsWith(FakeRepo.sha256(weights)));
    assertThat(cache().resolve("snapshots/" + repo.commit + "/model-1.safetensors")).doesNotExist();
    assertThat(cache().resolve("refs/main")).doesNotExist();
    hub.tampered.clear();
    assertThat(download("org/model").resolve("model-1.safetensors")).hasBinaryContent(weights);
  }

  @Test
  void smallFilesAreCheckedToo() {
    hub.tampered.put("config.json", "{\"model_type\": \"llbma\"}".getBytes(UTF_8));
    assertFails(() -> download("org/model"), Reason.DAMAGED, "config.json", "digest");
  }

  @Test
  void bodiesOfAnotherLengthAreRefused() {
    hub.tampered.put("model-2.safetensors", random(80_000, 9));
    assertFails(() -> download("org/model"), Reason.DAMAGED, "model-2.safetensors", "/80000");
    hub.tampered.clear();
    environment.put("HF_HOME", home.resolve("another").toString());
    hub.tampered.put("config.json", new byte[100]);
    assertFails(() -> download("org/model"), Reason.DAMAGED, "config.json", "100 bytes");
  }

  @Test
  void aFileThatChangesOnItsWayIsRefused() {
    hub.tagChanges = true;
    assertFails(() -> download("org/model"), Reason.UNREACHABLE, "changed while it was loaded");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "../evil.json",
        "/etc/evil.json",
        "a//evil.json",
        "a/../../evil.json",
        "..",
        "a\\\\evil.json",
        "evil\\u001b[2J.json"
      })
  void pathsThatLeadOutOfTheFolderAreRefused(String path) throws IOException {
    repo.lies.put(
        "LICENSE",
        "{\"type\":\"file\",\"path\":\"%s\",\"size\":3,\"oid\":\"%s\"}"
            .formatted(path, "a".repeat(40)));
    assertFails(() -> download("org/model"), Reason.DAMAGED, "is not written");
    assertThat(home.resolve("hf")).doesNotExist();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{\"type\":\"file\",\"path\":\"LICENSE\",\"size\":-3,\"oid\":\"%s\"}",
        "{\"type\":\"file\",\"path\":\"LICENSE\",\"size\":3,\"oid\":\"../../%s\"}",
        "{\"type\":\"file\",\"path\":\"LICENSE\",\"oid\":\"%s\"}",
        "{\"type\":\"file\",\"path\":\"config.json\",\"size\":3,\"oid\":\"%s\"}",
        "{\"type\":\"file\",\"size\":3,\"oid\":\"%s\"}"
      })
  void listsThatCannotBeAreRefused(String entry) {
    repo.lies.put("LICENSE", entry.formatted("a".repeat(40)));
    assertFails(() -> download("org/model"), Reason.DAMAGED);
  }

  @Test
  void anIndexThatNamesFilesElsewhereIsRefused() {
    repo.file("model.safetensors.index.json", "{\"weight_map\": {\"a\": \"../../x.safetensors\"}}");
    assertFails(() -> download("org/model"), Reason.DAMAGED, "../../x.safetensors");
    repo.file("model.safetensors.index.json", "[]");
    assertFails(() -> download("org/model"), Reason.DAMAGED, "weight_map");
  }

  @Test
  void aCommitThatIsNoneIsRefused() {
    repo.commit = "../../../x";
    assertFails(() -> download("org/model"), Reason.DAMAGED, "commit");
  }

  @Test
  void listsThatGoOnElsewhereAreNotFollowed() {
    environment.put("HF_TOKEN", FakeHub.TOKEN);
    hub.nextPage = hub.storageAddress() + "/api/models/org/model/tree/x";
    assertFails(() -> download("org/model"), Reason.DAMAGED, "not the hub");
    assertThat(hub.storageRequests).isEmpty();
  }

  @Test
  void listsThatDoNotEndAreRefused() {
    hub.nextPage = hub.endpoint() + "/api/models/org/model/tree/" + repo.commit + "?recursive=true";
    assertFails(() -> download("org/model"), Reason.DAMAGED);
  }

  @Test
  void redirectionsToOtherSchemesAreRefused() {
    hub.redirectTo = "file:///etc/passwd";
    assertFails(() -> download("org/model"), Reason.DAMAGED, "file:///etc/passwd");
  }

  @Test
  void withoutLinksTheFilesThemselvesLieInTheSnapshot() throws IOException {
    environment.put("HF_HUB_DISABLE_SYMLINKS", "1");
    Path snapshot = download("org/model");
    assertThat(snapshot.resolve("model-1.safetensors"))
        .hasBinaryContent(weights)
        .satisfies(f -> assertThat(Files.isSymbolicLink(f)).isFalse());
    hub.storageRequests.clear();
    download("org/model");
    assertThat(hub.storageRequests).isEmpty();
  }

  @Test
  void offlineTheCacheIsTakenAndNothingAsked() throws IOException {
    environment.put("HF_HUB_OFFLINE", "1");
    assertFails(() -> download("org/model"), Reason.OFFLINE, "org/model", "HF_HUB_OFFLINE");
    environment.remove("HF_HUB_OFFLINE");
    Path snapshot = download("org/model");
    environment.put("HF_HUB_OFFLINE", "1");
    hub.hubRequests.clear();
    assertThat(download("org/model")).isEqualTo(snapshot);
    assertThat(hub.hubRequests).isEmpty();
    Files.delete(snapshot.resolve("model-2.safetensors"));
    assertFails(() -> download("org/model"), Reason.OFFLINE, "model-2.safetensors");
  }

  @Test
  void whereTheHubIsOutOfReachTheCacheIsTakenAndSaid() throws IOException {
    Path snapshot = download("org/model");
    hub.close();
    assertThat(download("org/model")).isEqualTo(snapshot);
    assertThat(recorder.notes)
        .anyMatch(n -> n.contains("cannot be reached"))
        .anyMatch(n -> n.contains("taking commit " + repo.commit.substring(0, 12)));
    assertFails(() -> download("org/other"), Reason.UNREACHABLE, "HTTPS_PROXY", "HF_HUB_OFFLINE=1");
  }

  @Test
  void aDiskThatIsTooSmallIsSaidBefore() {
    repo.lies.put(
        "LICENSE",
        "{\"type\":\"file\",\"path\":\"LICENSE\",\"size\":%d,\"oid\":\"%s\"}"
            .formatted(Long.MAX_VALUE / 2, "a".repeat(40)));
    assertFails(() -> download("org/model"), Reason.NO_SPACE, "4.6 EB", "HF_HOME");
    assertThat(hub.storageRequests).isEmpty();
  }

  @Test
  void progressEndsWithAll() throws IOException {
    download("org/model");
    TransferProgress last = recorder.progress.getLast();
    assertThat(last.done()).isEqualTo(last.total()).isGreaterThan(1_070_000);
    assertThat(last.secondsLeft()).isZero();
  }

  @Test
  void twoAtOnceLoadOnce() throws Exception {
    List<Path> done = new CopyOnWriteArrayList<>();
    Parallel.run(
        List.of(() -> done.add(download("org/model")), () -> done.add(download("org/model"))));
    assertThat(done).hasSize(2);
    assertThat(ranges()).isNotEmpty().doesNotHaveDuplicates();
  }
}
