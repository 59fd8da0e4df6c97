//! Prints the CustomResourceDefinition of EtlJob as YAML.

fn main() {
    print!("{}", etl_api::etljob_crd_yaml());
}
