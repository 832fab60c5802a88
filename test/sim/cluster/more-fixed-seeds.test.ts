// In a file of its own, so that two processors share the work.
import { testSeeds } from './cluster-runs.ts'

testSeeds('thirty more fixed fault scripts', 91, 30)
