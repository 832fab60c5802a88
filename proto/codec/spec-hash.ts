// The content address of a task spec.
import { canonicalJson } from '../lib/canonical-json.ts'
import { sha256Hex } from '../lib/digest.ts'
import { type SpecHash, specHash } from '../objects/ids.ts'
import type { TaskSpec } from '../spec/service-spec.ts'

/** 128 bits of SHA-256 over the canonical JSON, as 32 hex digits. Equal specs have equal hashes in every process. */
export function hashTaskSpec(spec: TaskSpec): SpecHash {
  return specHash(sha256Hex(canonicalJson(spec)).slice(0, 32))
}
