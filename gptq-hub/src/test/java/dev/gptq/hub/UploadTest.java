package dev.gptq.hub;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.hub.HubException.Reason;
import dev.gptq.hub.UploadFile.State;
import java.io.IOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Uploads to a server that behaves like the hub. */
final class UploadTest {
  private static final Tuning SMALL =
      new Tuning(1 << 16, 4, 3, Duration.ofMillis(1), Duration.ofMillis(50));

  @TempDir private Path home;
  private final Map<String, String> environment = new HashMap<>();
  private final Recorder recorder = new Recorder();
  private final byte[] weights = DownloadTest.random(300_000, 1);
  private FakeHub hub;
  private Path folder;

  @BeforeEach
  void start() throws IOException {
    hub = new FakeHub();
    environment.put("HF_ENDPOINT", hub.endpoint().toString());
    environment.put("HF_TOKEN", FakeHub.TOKEN);
    folder = Files.createDirectories(home.resolve("model-w4"));
    Files.writeString(folder.resolve("config.json"), "{}");
    Files.writeString(folder.resolve("README.md"), "ä");
    Files.createFile(folder.resolve("empty.safetensors"));
    Files.write(folder.resolve("model.safetensors"), weights);
    Files.createDirectories(folder.resolve("additional_chat_templates"));
    Files.writeString(folder.resolve("additional_chat_templates/tool.jinja"), "x");
    Files.createDirectories(folder.resolve(".git"));
    Files.writeString(folder.resolve(".git/config"), "no");
  }

  @AfterEach
  void stop() {
    hub.close();
  }

  private UploadPlan plan(String name, boolean isPrivate) throws IOException {
    try (Hub client = new Hub(HubSettings.of(environment, home), SMALL)) {
      return client.planUpload(folder, name, isPrivate, recorder);
    }
  }

  private URI upload(String name) throws IOException {
    return run(plan(name, false));
  }

  private URI run(UploadPlan plan) throws IOException {
    try (Hub client = new Hub(HubSettings.of(environment, home), SMALL)) {
      return client.upload(plan, "Upload", recorder);
    }
  }

  private static void assertFails(ThrowingCallable call, Reason reason, String... words) {
    assertThatThrownBy(call)
        .isInstanceOfSatisfying(
            HubException.class, e -> assertThat(e.reason()).as(e.getMessage()).isEqualTo(reason))
        .message()
        .contains(words);
  }

  private Map<String, byte[]> files() {
    FakeRepo repo = hub.model("me/model-w4");
    return repo.commits.get(repo.commit);
  }

  @Test
  void createsTheRepositoryAndCommitsAllFiles() throws IOException {
    URI commit = upload("me/model-w4");
    assertThat(commit)
        .isEqualTo(
            hub.endpoint().resolve("/me/model-w4/commit/" + hub.model("me/model-w4").commit));
    assertThat(files().keySet())
        .containsExactly(
            "README.md",
            "additional_chat_templates/tool.jinja",
            "config.json",
            "empty.safetensors",
            "model.safetensors");
    assertThat(files().get("model.safetensors")).isEqualTo(weights);
    assertThat(files().get("README.md")).isEqualTo("ä".getBytes(StandardCharsets.UTF_8));
    assertThat(hub.uploads.commits.getFirst()).isEqualTo("Upload");
    TransferProgress last = recorder.progress.getLast();
    assertThat(last.done()).isEqualTo(last.total()).isEqualTo(300_000 + 2 + 2 + 1);
  }

  @Test
  void theOwnersNameMayBeLeftOut() throws IOException {
    assertThat(plan("model-w4", false).repo().id()).isEqualTo("me/model-w4");
  }

  @Test
  void largeFilesGoUpInPartsWhereTheHubWantsThat() throws IOException {
    hub.uploads.partSize = 70_000;
    upload("me/model-w4");
    assertThat(files().get("model.safetensors")).isEqualTo(weights);
    assertThat(hub.storageRequests.stream().map(r -> r.path().replaceFirst(".*/", "")))
        .containsExactly("1", "2", "3", "4", "5");
  }

  @Test
  void theTokenGoesToTheHubOnly() throws IOException {
    upload("me/model-w4");
    assertThat(hub.storageRequests)
        .isNotEmpty()
        .noneMatch(r -> r.headers().containsKey("Authorization"));
  }

  @Test
  void aPlanChangesNothing() throws IOException {
    UploadPlan plan = plan("me/model-w4", true);
    assertThat(plan.head()).isEmpty();
    assertThat(plan.bytes()).isEqualTo(300_005);
    assertThat(plan.files()).extracting(UploadFile::state).containsOnly(State.NEW);
    assertThat(hub.repos).isEmpty();
    assertThat(hub.hubRequests).allMatch(r -> r.method().equals("GET"));
  }

  @Test
  void onlyWhatChangedIsSentAgain() throws IOException {
    upload("me/model-w4");
    Files.writeString(folder.resolve("config.json"), "{\"a\": 1}");
    Files.writeString(folder.resolve("new.txt"), "n");
    UploadPlan plan = plan("me/model-w4", false);
    assertThat(plan.changes())
        .extracting(UploadFile::path)
        .containsExactly("config.json", "new.txt");
    assertThat(plan.changes())
        .extracting(UploadFile::state)
        .containsExactly(State.CHANGED, State.NEW);
    hub.storageRequests.clear();
    hub.uploads.commits.clear();
    run(plan);
    assertThat(hub.storageRequests).isEmpty();
    assertThat(hub.uploads.commits).containsExactly("Upload", "config.json", "new.txt");
    hub.uploads.commits.clear();
    assertThat(upload("me/model-w4").getPath()).endsWith(hub.model("me/model-w4").commit);
    assertThat(hub.uploads.commits).as("no empty commit").isEmpty();
  }

  @Test
  void anInterruptedUploadGoesOn() throws IOException {
    UploadPlan plan = plan("me/model-w4", false);
    hub.model("me/model-w4");
    hub.uploads.objects.put(FakeRepo.sha256(weights), weights);
    assertFails(() -> run(plan), Reason.INVALID, "has changed meanwhile");
    upload("me/model-w4");
    assertThat(hub.storageRequests).isEmpty();
    assertThat(files().get("model.safetensors")).isEqualTo(weights);
  }

  @Test
  void passingFailuresAreTriedAgain() throws IOException {
    UploadPlan plan = plan("me/model-w4", false);
    hub.model("me/model-w4");
    UploadPlan again = plan("me/model-w4", false);
    hub.failures.addAll(List.of(503, 429));
    run(again);
    assertThat(plan.head()).isEmpty();
    assertThat(files()).hasSize(5);
  }

  @Test
  void aRepositoryThatChangedMeanwhileIsNotOverwritten() throws IOException {
    hub.model("me/model-w4");
    UploadPlan plan = plan("me/model-w4", false);
    hub.model("me/model-w4").file("README.md", "mine");
    assertFails(() -> run(plan), Reason.INVALID, "has changed meanwhile");
    assertThat(files().get("README.md")).isEqualTo("mine".getBytes(StandardCharsets.UTF_8));
  }

  @Test
  void whatShallBePrivateIsNeverSentToAPublicPlace() throws IOException {
    hub.model("me/public");
    assertFails(() -> plan("me/public", true), Reason.INVALID, "is public");
    hub.uploads.ignoresVisibility = true;
    UploadPlan plan = plan("me/model-w4", true);
    assertFails(() -> run(plan), Reason.INVALID, "is public");
    assertThat(hub.storageRequests).isEmpty();
    assertThat(files()).isEmpty();
  }

  @Test
  void privateRepositoriesAreCreatedSo() throws IOException {
    run(plan("me/model-w4", true));
    assertThat(hub.model("me/model-w4").visibility).isEqualTo("private");
  }

  @Test
  void whatTheRepositoryIgnoresIsLeftOutAndSaid() throws IOException {
    Files.writeString(folder.resolve("a.ignored"), "x");
    upload("me/model-w4");
    assertThat(files()).doesNotContainKey("a.ignored");
    assertThat(recorder.notes).anyMatch(n -> n.startsWith("a.ignored is left out"));
  }

  @Test
  void whatCannotBeDoneIsSaidFirst() throws IOException {
    UploadPlan elsewhere = plan("you/model", false);
    assertFails(() -> run(elsewhere), Reason.UNAUTHORIZED, "creating you/model", "rights");
    environment.put("HF_TOKEN", "hf_wrong");
    assertFails(() -> plan("model", false), Reason.UNAUTHORIZED, "HF_TOKEN");
    environment.remove("HF_TOKEN");
    assertFails(() -> plan("model", false), Reason.UNAUTHORIZED, "HF_TOKEN", "settings/tokens");
    environment.put("HF_TOKEN", FakeHub.TOKEN);
    environment.put("HF_HUB_OFFLINE", "1");
    assertFails(() -> plan("model", false), Reason.OFFLINE, "HF_HUB_OFFLINE");
    environment.remove("HF_HUB_OFFLINE");
    folder = home.resolve("nowhere");
    assertFails(() -> plan("model", false), Reason.INVALID, "nowhere");
    folder = Files.createDirectory(home.resolve("nothing"));
    assertFails(() -> plan("model", false), Reason.INVALID, "no files");
  }
}
