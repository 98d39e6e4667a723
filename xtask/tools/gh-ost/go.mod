// gh-ost is a file of this module's: nothing is built.
module database-operator.dev/gh-ost

go 1.26.0

require vitess.io/vitess v0.16.0
