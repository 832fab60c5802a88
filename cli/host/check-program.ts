// Whether a program is installed and new enough.
import { type CheckResult, failed, passed } from './check-result.ts'
import type { HostProbes } from './probes.ts'
import { findVersion, isAtLeast } from './version.ts'

export interface Program {
  readonly name: string
  /** Debian package that has it. */
  readonly package: string
  readonly what: string
  /** Undefined: any version will do, and none is asked for. */
  readonly minimum?: string
  /** Default `--version`. */
  readonly versionFlag?: string
}

export async function checkProgram(program: Program, probes: HostProbes): Promise<CheckResult> {
  const { name, minimum } = program
  const file = await probes.find(name)
  const packages = [program.package]
  const remedy = `apt-get install ${program.package}`
  if (file === undefined) {
    return failed({ name, found: `not installed: ${program.what}`, remedy, packages })
  }
  if (minimum === undefined) return passed(name, file)
  const answer = await probes.run([file, program.versionFlag ?? '--version'])
  const version = findVersion(`${answer.stdout} ${answer.stderr}`)
  if (version === undefined) {
    return failed({ name, found: `${file} does not tell its version`, remedy, packages })
  }
  if (isAtLeast(version, minimum)) return passed(name, version)
  return failed({
    name,
    found: `${version} is too old, ${minimum} is needed`,
    remedy: `${remedy} (of Debian 12, Ubuntu 24.04 or newer)`,
    packages,
  })
}
