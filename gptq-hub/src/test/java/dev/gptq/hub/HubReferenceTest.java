package dev.gptq.hub;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What people type. */
final class HubReferenceTest {
  @ParameterizedTest
  @CsvSource({
    "hf:org/name, MODEL, org/name, main, ''",
    "org/name, MODEL, org/name, main, ''",
    "hf://org/name, MODEL, org/name, main, ''",
    "hf:gpt2, MODEL, gpt2, main, ''",
    "hf:gpt2@v1, MODEL, gpt2, v1, ''",
    "hf:Qwen/Qwen3-8B@refs/pr/7, MODEL, Qwen/Qwen3-8B, refs/pr/7, ''",
    "hf:org/name@a%2Fb, MODEL, org/name, a/b, ''",
    "hf:org/name@v1.0/sub/file.json, MODEL, org/name, v1.0, sub/file.json",
    "hf:datasets/org/texts@refs/convert/parquet/d/f.jsonl, DATASET, org/texts,"
        + " refs/convert/parquet, d/f.jsonl",
    "hf:models/org/name, MODEL, org/name, main, ''"
  })
  void isReadAsMeant(String text, RepoKind kind, String id, String revision, String path)
      throws HubException {
    HubReference reference = HubReference.parse(text, RepoKind.MODEL);
    assertThat(reference.repo()).isEqualTo(new Repo(kind, id));
    assertThat(reference.revision()).isEqualTo(revision);
    assertThat(reference.path()).isEqualTo(path);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "hf:",
        "hf:/etc/passwd",
        "hf:../x",
        "hf:org/..",
        "hf:org/a--b",
        "hf:org/name.git",
        "hf:org/-name",
        "hf:org/na me",
        "hf:org/name@",
        "hf:org/name@../x",
        "hf:org/name@%2e%2e%2fx",
        "hf:org/name@a%zz",
        "hf:org/name/../../x",
        "hf:org/name/a\u001bb",
        "hf:org/name\u202e"
      })
  void whatCannotBeMeantIsRefused(String text) {
    assertThatThrownBy(() -> HubReference.parse(text, RepoKind.MODEL))
        .isInstanceOfSatisfying(
            HubException.class, e -> assertThat(e.reason()).isEqualTo(HubException.Reason.INVALID))
        .message()
        .matches("[^\\p{Cntrl}\u202e]+");
  }

  @Test
  void namesAndPathsAreToldApart() {
    assertThat(HubReference.isBareName("Qwen/Qwen3-8B")).isTrue();
    assertThat(HubReference.isBareName("Qwen/Qwen3-8B@main")).isTrue();
    assertThat(HubReference.isBareName("folder")).isFalse();
    assertThat(HubReference.isBareName("./a/b")).isFalse();
    assertThat(HubReference.isBareName("/a/b")).isFalse();
    assertThat(HubReference.isBareName("a/b/c")).isFalse();
    assertThat(HubReference.isBareName("../b")).isFalse();
    assertThat(HubReference.isMarked("hf:a/b")).isTrue();
    assertThat(HubReference.isMarked("a/b")).isFalse();
  }

  @Test
  void isShownAsItIsTyped() throws HubException {
    assertThat(HubReference.parse("hf:org/name@v1/a.txt", RepoKind.DATASET))
        .hasToString("datasets/org/name@v1/a.txt");
    assertThat(HubReference.parse("hf:org/name", RepoKind.MODEL)).hasToString("org/name");
  }
}
