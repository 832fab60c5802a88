// --ulimit nofile=1024:2048
import type { UlimitSpec } from '../../proto/spec/service-spec.ts'
import { ulimitNames } from '../../proto/spec/ulimit-names.ts'

/** `name=soft[:hard]`, -1 for unlimited. Errors: Error. */
export function parseUlimit(text: string): UlimitSpec {
  const match = /^([a-z]+)=(-?\d+)(?::(-?\d+))?$/.exec(text)
  if (match === null) throw new Error('must be NAME=SOFT[:HARD], such as nofile=1024:2048')
  const [, name = '', soft = '', hard = soft] = match
  if (!ulimitNames.includes(name)) {
    throw new Error(`"${name}" is none of ${ulimitNames.join(', ')}`)
  }
  return { name, soft: Number(soft), hard: Number(hard) }
}
